"""Frames of a websocket to a kernel, as JupyterLab speaks them: ``v1.kernel.websocket.jupyter.org``. No I/O.

https://jupyter-server.readthedocs.io/en/latest/developers/websocket-protocols.html
"""

from __future__ import annotations

import json
import struct
from itertools import pairwise

from msgspec import Struct

from moorage.json_types import JsonObject
from moorage.load.steps import StepFailed

PROTOCOL = "v1.kernel.websocket.jupyter.org"
_PARTS = 5
"""Channel, header, parent header, metadata, content; buffers come after."""


class Spoken(Struct, frozen=True):
    """A message of a kernel.

    Attributes:
        channel: shell, iopub, control or stdin.
        kind: its ``msg_type``.
        parent: the message that it belongs to; empty for none.
        content: as the protocol of messages has it.
    """

    channel: str
    kind: str
    parent: str
    content: JsonObject


def request(channel: str, kind: str, content: JsonObject, *, name: str, session: str, date: str) -> bytes:
    """Return the frame of a request.

    Args:
        channel: that it is sent on.
        kind: its ``msg_type``.
        content: as the protocol of messages has it.
        name: its ``msg_id``.
        session: of the page.
        date: now, in ISO 8601.
    """
    header = {"msg_id": name, "msg_type": kind, "session": session, "username": "", "version": "5.3"}
    texts: tuple[JsonObject, ...] = (header | {"date": date}, {}, {}, content)
    parts = [channel.encode(), *(json.dumps(each).encode() for each in texts)]
    first = 8 * (_PARTS + 2)
    offsets = [first + sum(map(len, parts[:number])) for number in range(_PARTS + 1)]
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(parts)


def read_frame(frame: bytes) -> Spoken:
    """Return what a frame says.

    Raises:
        StepFailed: it is none of this protocol.
    """
    try:
        (count,) = struct.unpack_from("<Q", frame)
        offsets = struct.unpack_from(f"<{count}Q", frame, 8)
        parts = [frame[start:end] for start, end in pairwise(offsets)]
        channel, header, parent, _, content = parts[0].decode(), *map(json.loads, parts[1:_PARTS])
        return Spoken(channel, str(header["msg_type"]), str((parent or {}).get("msg_id", "")), content)
    except (struct.error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise StepFailed(f"A frame of the websocket cannot be read: {error}") from None
