"""One side of a conversation: mints headers, signs what leaves, checks what arrives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from moorage.errors import ProtocolError
from moorage.json_types import JsonMapping
from moorage.wire.codec import Signer, decode, encode
from moorage.wire.messages import Buffer, Header, Message

REMEMBERED = 65_536
"""How many signatures a session remembers to recognise replays."""


class Session:
    """Messages of one client (or kernel) over one connection.

    Args:
        signer: holds the connection's key.
        session_id: put into every header; kernels file their history under it.
        new_id: returns an id never returned before, for ``msg_id``.
        username: put into every header.
        remember: how many received signatures are kept; a replay older than that is not recognised.
    """

    def __init__(
        self,
        signer: Signer,
        session_id: str,
        new_id: Callable[[], str],
        username: str = "moorage",
        *,
        remember: int = REMEMBERED,
    ) -> None:
        self.session_id = session_id
        self._signer = signer
        self._new_id = new_id
        self._username = username
        self._remember = remember
        self._seen: set[bytes] = set()
        self._order: deque[bytes] = deque()

    def request(
        self,
        channel: str,
        msg_type: str,
        content: JsonMapping,
        *,
        date: str,
        metadata: JsonMapping | None = None,
        buffers: Sequence[Buffer] = (),
        parent: Message | Header | None = None,
    ) -> Message:
        """Return a new message of this session; nothing is sent.

        Args:
            channel: where it is to be sent.
            msg_type: what ``content`` holds.
            content: of the message.
            date: now, in ISO 8601 with a time zone.
            metadata: what to add.
            buffers: binary frames.
            parent: the message this one answers, as ``input_reply`` does.
        """
        header = Header(self._new_id(), msg_type, self.session_id, self._username, date)
        if isinstance(parent, Message):
            parent = parent.header
        return Message(
            channel,
            header,
            {} if parent is None else msgspec.structs.asdict(parent),
            dict(metadata or {}),
            dict(content),
            tuple(buffers),
        )

    def pack(self, message: Message) -> list[Buffer]:
        """Return the signed frames of ``message``.

        Raises:
            ProtocolError: something in the message has no JSON form.
        """
        return encode(message, self._signer)

    def receive(self, channel: str, frames: Sequence[Buffer]) -> Message:
        """Return the message in ``frames``, which came from ``channel`` and were never received before.

        Without a key no message can be recognised, and replays pass.

        Raises:
            ProtocolError: no message, wrongly signed, or received before on any channel.
        """
        message = decode(frames, self._signer, channel)
        if self._signer.signs:
            # Verified signatures only: strangers can neither fill the memory nor block a message to come.
            self._remember_or_reject(bytes(frames[len(message.identities) + 1]))
        return message

    def _remember_or_reject(self, signature: bytes) -> None:
        if signature in self._seen:
            raise ProtocolError(
                "A message arrived twice", why="Its signature was seen before: it is a replay"
            )
        self._seen.add(signature)
        self._order.append(signature)
        if len(self._order) > self._remember:
            self._seen.discard(self._order.popleft())

    def __repr__(self) -> str:
        return f"Session({self.session_id!r}, {self._signer!r})"
