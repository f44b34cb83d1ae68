"""Frames to messages and back: the delimiter, the signature, four JSON frames, buffers.

On ZeroMQ a message is ``identities… <IDS|MSG> signature header parent metadata content buffers…``
(https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol). The signature covers
the four JSON frames and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

import msgspec

from moorage.errors import ProtocolError
from moorage.json_types import JsonObject
from moorage.wire.messages import Buffer, Header, Message

DELIMITER = b"<IDS|MSG>"

_JSON_FRAMES = 4
_EMPTY = b"{}"
_any = msgspec.json.Decoder()
_header = msgspec.json.Decoder(Header)
_encoder = msgspec.json.Encoder()


def loads(data: Buffer) -> Any:
    """Decode JSON as kernels write it.

    Beyond the standard: NaN, Infinity, numbers too large for a float (infinite), integers of any size up to
    Python's limit of 4300 digits, lone surrogates (kept), bytes that are no UTF-8 (replaced) and raw control
    characters in strings.

    Raises:
        ProtocolError: it is no JSON even so, or nested too deeply.
    """
    try:
        return _any.decode(data)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _tolerant(data)


def _tolerant(data: Buffer) -> Any:
    try:
        text = str(data, "utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = str(data, "utf-8", "replace")
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise ProtocolError("A frame is not JSON", why=str(error)) from None


def dumps(obj: Any) -> bytes:
    """Encode as JSON that :func:`loads` and Python's ``json`` read back unchanged.

    NaN and infinities are written as Python writes them, lone surrogates as escapes, dates as ISO 8601, bytes
    as base64. (Two lone surrogates that make a pair are one character to every JSON reader.)

    Raises:
        ProtocolError: something in it has no JSON form, or it is nested too deeply or in itself.
    """
    try:
        data = _encoder.encode(obj)
        # msgspec writes NaN and infinities as null silently; the standard library writes each as itself.
        if b"null" not in data:
            return data
    except RecursionError:
        raise _too_deep() from None
    except (TypeError, ValueError, msgspec.MsgspecError):
        pass  # lone surrogates, keys such as None: the standard library can
    try:
        return json.dumps(obj, default=msgspec.to_builtins, separators=(",", ":")).encode("ascii")
    except RecursionError:
        raise _too_deep() from None
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise ProtocolError("This cannot be sent as JSON", why=str(error)) from None


def _too_deep() -> ProtocolError:
    return ProtocolError("A value is nested too deeply to be a message")


class Signer:
    """Signs messages and checks signatures with one connection's key. Its repr shows no key.

    Args:
        key: the connection's secret; empty means messages are neither signed nor checked.
        scheme: ``hmac-`` and the name of a hash that hashlib has everywhere.

    Raises:
        ProtocolError: the scheme is unknown.
    """

    __slots__ = ("_mac", "scheme")

    def __init__(self, key: bytes, scheme: str = "hmac-sha256") -> None:
        prefix, _, digest = scheme.partition("-")
        fixed_length = {name for name in hashlib.algorithms_guaranteed if not name.startswith("shake_")}
        if prefix != "hmac" or digest not in fixed_length:
            raise ProtocolError(
                f"Signature scheme {scheme!r} is unknown",
                why="It is not hmac- and the name of a hash",
                do="Use hmac-sha256",
            )
        self.scheme = scheme
        # Copying a keyed state skips two hash blocks per message: 1.6 µs instead of 5.
        self._mac = hmac.new(key, digestmod=digest) if key else None

    @property
    def signs(self) -> bool:
        """Whether there is a key, and so a signature."""
        return self._mac is not None

    def sign(self, parts: Sequence[Buffer]) -> bytes:
        """Return the signature of ``parts`` in lower-case hex, empty without a key."""
        if self._mac is None:
            return b""
        mac = self._mac.copy()
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode("ascii")

    def verify(self, signature: Buffer, parts: Sequence[Buffer]) -> bool:
        """Tell whether ``signature`` is that of ``parts``, in constant time; without a key it always is."""
        return self._mac is None or hmac.compare_digest(self.sign(parts), signature)

    def __repr__(self) -> str:
        return f"Signer({self.scheme!r}, key={'...' if self.signs else 'none'})"


def encode(message: Message, signer: Signer) -> list[Buffer]:
    """Return the frames of ``message``: identities, delimiter, signature, four JSON frames, buffers.

    Raises:
        ProtocolError: something in the message has no JSON form.
    """
    parts = [
        dumps(message.header),
        dumps(message.parent_header) if message.parent_header else _EMPTY,
        dumps(message.metadata) if message.metadata else _EMPTY,
        dumps(message.content) if message.content else _EMPTY,
    ]
    return [*message.identities, DELIMITER, signer.sign(parts), *parts, *message.buffers]


def decode(frames: Sequence[Buffer], signer: Signer, channel: str) -> Message:
    """Return the message in ``frames``, whose buffers are the last frames, not copied.

    Any frames are a message or a ProtocolError. What foreign kernels get wrong without harm is put right:
    null instead of an empty object, odd or missing header fields other than ``msg_id`` and ``msg_type``.

    Args:
        frames: one multipart message; contiguous bytes.
        signer: of the connection it came from.
        channel: where it came from.

    Raises:
        ProtocolError: no delimiter, frames missing, signature wrong, a frame is no JSON object.
    """
    at = _find_delimiter(frames)
    parts = frames[at + 2 : at + 2 + _JSON_FRAMES]
    if len(parts) < _JSON_FRAMES:
        raise ProtocolError(
            "A message has too few frames",
            why=f"{len(frames) - at - 1} after the delimiter, at least 5 needed",
        )
    if not signer.verify(frames[at + 1], parts):
        raise ProtocolError(
            "A message has a wrong signature", why="It was not signed with this connection's key"
        )
    header, parent, metadata, content = parts
    return Message(
        channel,
        _load_header(header),
        {} if parent == _EMPTY else _load_parent(parent),
        {} if metadata == _EMPTY else _load_object(metadata, "metadata"),
        {} if content == _EMPTY else _load_object(content, "content"),
        tuple(frames[at + 2 + _JSON_FRAMES :]),
        tuple([bytes(frame) for frame in frames[:at]]) if at else (),
    )


def _find_delimiter(frames: Sequence[Buffer]) -> int:
    try:
        return frames.index(DELIMITER)
    except ValueError:
        raise ProtocolError(
            "A message has no delimiter", why=f"None of its {len(frames)} frames is {DELIMITER!r}"
        ) from None


def _load_header(data: Buffer) -> Header:
    try:
        return _header.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = loads(data)
    if not isinstance(found, dict):
        raise ProtocolError("A message's header is not an object", why=f"It is a {type(found).__name__}")
    msg_id, msg_type = found.get("msg_id"), found.get("msg_type")
    if isinstance(msg_id, int):  # a number names a message as well as a string does
        msg_id = str(msg_id)
    if not isinstance(msg_id, str) or not isinstance(msg_type, str):
        odd = "msg_id" if not isinstance(msg_id, str) else "msg_type"
        raise ProtocolError("A message's header is incomplete", why=f"{odd} is missing or not a string")
    rest = {
        name: found[name]
        for name in ("session", "username", "date", "version")
        if isinstance(found.get(name), str)
    }
    return Header(msg_id, msg_type, **rest)


def _load_parent(data: Buffer) -> JsonObject:
    # "No parent" is written {}, null, "" or [] depending on the kernel: all of them mean {}.
    found = loads(data)
    return found if isinstance(found, dict) else {}


def _load_object(data: Buffer, name: str) -> JsonObject:
    found = loads(data)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ProtocolError(f"A message's {name} is not an object", why=f"It is a {type(found).__name__}")
    return found
