"""The handshake: a kernel reports the ports it has bound, and its launcher acknowledges. No I/O, no clock.

There are two dialects. A ROUTER receives these frames after its routing id:

=======  ============================================  =============================================
dialect  the kernel's request                          the launcher's answer
=======  ============================================  =============================================
docs     ``<IDS|MSG>``, signature, one JSON object:    the same form; the object has any content
         ports as strings, and ``kernel_id``
posit    an empty frame (REQ's), ``<IDS|MSG>``,        the same form: ``handshake_reply``, with
         signature, four frames of a Jupyter message   ``status`` "ok" or "error" in its content
         ``handshake_request``: ports as numbers
=======  ============================================  =============================================

The signature covers every frame after it. ``docs`` is jupyter_client's documentation of protocol 5.6, as
xeus uses it; ``posit`` is that of ark and kallichore.

Source: JEP 66, https://jupyter.org/enhancement-proposals/66-jupyter-handshaking/jupyter-handshaking.html,
and "Registration messages" in https://jupyter-client.readthedocs.io/en/stable/messaging.html

Nothing but the standard library is imported here: authors of kernels import it too.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, assert_never

from moorage.errors import ProtocolError
from moorage.json_types import JsonObject
from moorage.wire.connection import PORTS, ConnectionInfo, port_number
from moorage.wire.registration import Dialect, Terms

DELIMITER = b"<IDS|MSG>"

MOST_FRAMES, MOST_BYTES = 16, 16 * 1024
"""A registration is 300 to 700 bytes; what is larger is none."""

REMEMBERED = 4096
"""How many signatures of accepted registrations are kept to recognise replays."""

Role = Literal["launcher", "kernel"]
State = Literal["armed", "asked", "agreed", "refused"]
Reason = Literal["malformed", "unknown kernel", "bad signature", "replay", "port out of range", "late"]


@dataclass(frozen=True)
class UncheckedMessage:
    """One message, before its signature is checked.

    Attributes:
        dialect: which of the two it is in.
        envelope: the frames before the delimiter, which lead an answer back to its sender.
        signature: as it came.
        parts: the signed frames.
        content: the JSON object in the last of them.
    """

    dialect: Dialect
    envelope: tuple[bytes, ...]
    signature: bytes
    parts: tuple[bytes, ...]
    content: JsonObject = field(repr=False)


@dataclass(frozen=True)
class PortsBound:
    """(Kernel.) The ports are bound: report them. ``msg_id`` names the request in the posit dialect."""

    msg_id: str


@dataclass(frozen=True)
class Received:
    """A message of the peer arrived; ``msg_id`` names the answer in the posit dialect."""

    message: UncheckedMessage
    msg_id: str = ""


@dataclass(frozen=True)
class Expired:
    """(Kernel.) No answer came within the time allowed."""


Event = PortsBound | Received | Expired


@dataclass(frozen=True)
class Send:
    """Send these frames to the peer."""

    frames: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True)
class Agreed:
    """Both sides know the addresses; ``kernel_id`` is the one of the terms."""

    info: ConnectionInfo
    kernel_id: str


@dataclass(frozen=True)
class Reject:
    """A message is refused, or (kernel) the launcher has refused; ``why`` is for people."""

    reason: Reason
    why: str


Command = Send | Agreed | Reject

Input = Literal["ask", "good request", "odd request", "answer", "error", "bad answer", "expired"]

TABLE: dict[tuple[Role, State, Input], State] = {
    ("kernel", "armed", "ask"): "asked",
    ("kernel", "asked", "answer"): "agreed",
    ("kernel", "asked", "error"): "refused",
    ("kernel", "asked", "bad answer"): "refused",
    ("kernel", "asked", "expired"): "refused",
    ("launcher", "armed", "good request"): "agreed",
    ("launcher", "armed", "odd request"): "armed",
}
"""Where each side goes. A request that is not in it is a replay; everything else not in it changes nothing.

A launcher that starts the kernel again makes new terms and a new machine: there is no way back.
"""


class Handshake:
    """One kernel's registration, seen from one end."""

    def __init__(self, role: Role, terms: Terms, info: ConnectionInfo | None = None) -> None:
        """Begin.

        Args:
            role: which end.
            terms: what both ends know from the registration file.
            info: (kernel) the addresses it has bound.

        Raises:
            ProtocolError: the signature scheme is unknown.
        """
        if role == "kernel" and info is None:
            raise ProtocolError("A kernel registers with the ports it has bound", do="Bind them first")
        self.role: Role = role
        self.terms = terms
        self.state: State = "armed"
        self._info = info
        prefix, _, digest = terms.signature_scheme.partition("-")
        if prefix != "hmac" or digest not in hashlib.algorithms_guaranteed or digest.startswith("shake"):
            raise ProtocolError(
                f"Signature scheme {terms.signature_scheme!r} is unknown", do="Use hmac-sha256"
            )
        # Copying a keyed state is a third of what making one costs.
        self._mac = hmac.new(terms.key, digestmod=digest)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Apply one event.

        Args:
            event: what happened.
            now: seconds since 1970, for the date in headers.

        Returns:
            What to do now, in order.
        """
        match event:
            case PortsBound(msg_id):
                return self._report(msg_id, now) if self._go("ask") else []
            case Received(message, msg_id):
                return self._answer(message) if self.role == "kernel" else self._request(message, msg_id, now)
            case Expired():
                return [Reject("late", "the registration was not answered")] if self._go("expired") else []
        assert_never(event)

    def signed_by_peer(self, message: UncheckedMessage) -> bool:
        """Tell, in constant time, whether the signature is right; without a key it is not looked at."""
        return not self.terms.key or hmac.compare_digest(self._sign(message.parts), message.signature)

    def _go(self, what: Input) -> bool:
        """Follow the table; False where it leads nowhere."""
        to = TABLE.get((self.role, self.state, what))
        if to is not None:
            self.state = to
        return to is not None

    def _report(self, msg_id: str, now: float) -> list[Command]:
        assert self._info is not None
        ports = {name: getattr(self._info, name) for name in PORTS}
        if self.terms.dialect == "docs":
            content = {name: str(port) for name, port in ports.items()}
            return [self._send((), [_json({**content, "kernel_id": self.terms.kernel_id})])]
        header = _header("handshake_request", msg_id, self.terms.kernel_id or msg_id, "kernel", now)
        return [self._send((), [header, b"{}", b"{}", _json(ports)])]

    def _request(self, message: UncheckedMessage, msg_id: str, now: float) -> list[Command]:
        """The launcher's side; the signature is found right, or this is refused."""
        if not self.signed_by_peer(message):
            return [Reject("bad signature", "it was not signed with this kernel's key")]
        try:
            info = self.terms.addresses(message.content)
        except ProtocolError as error:
            if not self._go("odd request"):
                return [Reject("replay", "this kernel has registered already")]
            numbers = all(_is_number(message.content.get(name)) for name in PORTS)
            refusal: list[Command] = [Reject("port out of range" if numbers else "malformed", error.why)]
            if message.dialect == "posit":  # the other has no word for no
                refusal.append(self._reply(message, msg_id, now, error.why))
            return refusal
        if not self._go("good request"):
            return [Reject("replay", "this kernel has registered already")]
        return [self._reply(message, msg_id, now), Agreed(info, self.terms.kernel_id)]

    def _reply(self, message: UncheckedMessage, msg_id: str, now: float, error: str = "") -> Send:
        content: JsonObject = {"status": "error", "error": error} if error else {"status": "ok"}
        if message.dialect == "docs":
            return self._send(message.envelope, [_json(content)])
        # kallichore has its capabilities in it; ark reads the status alone.
        content |= {} if error else {"capabilities": {}}
        header = _header("handshake_reply", msg_id, self.terms.kernel_id or msg_id, "moorage", now)
        return self._send(message.envelope, [header, message.parts[0], b"{}", _json(content)])

    def _answer(self, message: UncheckedMessage) -> list[Command]:
        """The kernel's side."""
        if not self.signed_by_peer(message):
            why = "the answer was not signed with the key of the registration file"
            return [Reject("bad signature", why)] if self._go("bad answer") else []
        if message.content.get("status") == "error":
            why = str(message.content.get("error") or "the launcher refuses")
            return [Reject("malformed", why)] if self._go("error") else []
        assert self._info is not None
        return [Agreed(self._info, self.terms.kernel_id)] if self._go("answer") else []

    def _send(self, envelope: tuple[bytes, ...], parts: Sequence[bytes]) -> Send:
        return Send((*envelope, DELIMITER, self._sign(parts), *parts))

    def _sign(self, parts: Sequence[bytes]) -> bytes:
        if not self.terms.key:
            return b""
        mac = self._mac.copy()
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode()


class Registry:
    """The launcher's end of every handshake at once: finds the kernel that a request is of.

    In the docs dialect it is named; in the posit one its key is found by trying those that are awaited.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        """Begin with no kernel awaited.

        Args:
            new_id: makes message ids that never repeat.
        """
        self.refused: dict[Reason, int] = dict.fromkeys(
            ("malformed", "unknown kernel", "bad signature", "replay", "port out of range"), 0
        )
        """How many requests were refused, by reason."""
        self._new_id = new_id
        self._handshakes: dict[str, Handshake] = {}
        self._posit: dict[str, Handshake] = {}
        self._accepted: dict[bytes, None] = {}

    def expect(self, terms: Terms) -> None:
        """Await a kernel.

        Raises:
            ProtocolError: it has no id or no key, or is awaited already: xeus makes up a key where there
                is none, and then refuses what is signed with none.
        """
        if not terms.key or not terms.kernel_id or terms.kernel_id in self._handshakes:
            raise ProtocolError("A kernel can be awaited only with a key and an id of its own")
        self._handshakes[terms.kernel_id] = handshake = Handshake("launcher", terms)
        if terms.dialect == "posit":
            self._posit[terms.kernel_id] = handshake

    def forget(self, kernel_id: str) -> None:
        """Await a kernel no longer; nothing happens if it is not."""
        self._handshakes.pop(kernel_id, None)
        self._posit.pop(kernel_id, None)

    def receive(self, frames: Sequence[bytes], now: float) -> list[Command]:
        """Take in one message of a ROUTER, its routing id included.

        Args:
            frames: what arrived; anything.
            now: seconds since 1970.

        Returns:
            What to do now: answers at once, then the agreement. Refusals are counted, and among them.
        """
        try:
            message = parse(frames)
        except ProtocolError as error:
            return self._count([Reject("malformed", error.what)])
        if message.signature in self._accepted:
            return self._count([Reject("replay", "this message was accepted before")])
        found = self._by_id(message) if message.dialect == "docs" else self._by_key(message)
        if isinstance(found, Reject):
            return self._count([found])
        commands = found.handle(Received(message, self._new_id()), now)
        if any(isinstance(command, Agreed) for command in commands):
            self._posit.pop(found.terms.kernel_id, None)
            self._accepted[message.signature] = None
            if len(self._accepted) > REMEMBERED:
                del self._accepted[next(iter(self._accepted))]
        return self._count(commands)

    def _by_id(self, message: UncheckedMessage) -> Handshake | Reject:
        name = message.content.get("kernel_id")
        found = self._handshakes.get(name) if isinstance(name, str) else None
        return Reject("unknown kernel", "no kernel of that id is awaited") if found is None else found

    def _by_key(self, message: UncheckedMessage) -> Handshake | Reject:
        for handshake in self._posit.values():
            if handshake.signed_by_peer(message):
                return handshake
        if self._posit:
            return Reject("bad signature", "no awaited kernel has the key it was signed with")
        return Reject("unknown kernel", "no kernel of this dialect is awaited")

    def _count(self, commands: list[Command]) -> list[Command]:
        for command in commands:
            if isinstance(command, Reject):
                self.refused[command.reason] += 1
        return commands


def parse(frames: Sequence[bytes]) -> UncheckedMessage:
    """Take a request or an answer apart; its signature is yet to be checked.

    Args:
        frames: as they came, with or without routing id and REQ's empty frame.

    Raises:
        ProtocolError: it is neither.
    """
    if len(frames) > MOST_FRAMES or sum(map(len, frames)) > MOST_BYTES:
        raise ProtocolError("A registration is too large")
    try:
        at = list(frames[:4]).index(DELIMITER)
    except ValueError:
        raise ProtocolError("A registration has no delimiter") from None
    envelope, rest = tuple(frames[:at]), tuple(frames[at + 1 :])
    if len(rest) not in (2, 5):
        raise ProtocolError(f"A registration has {len(rest)} frames after the delimiter, not 2 or 5")
    dialect: Dialect = "docs" if len(rest) == 2 else "posit"
    content = _load(rest[-1])
    if dialect == "posit":
        kind = (_load(rest[1]) or {}).get("msg_type")
        if kind not in ("handshake_request", "handshake_reply"):
            raise ProtocolError("A registration is of another message type")
    return UncheckedMessage(dialect, envelope, rest[0], rest[1:], content or {})


def _load(frame: bytes) -> JsonObject | None:
    """Read an object; None for other JSON, and for text that is none, as xeus acknowledges with ``ACK``."""
    try:
        found = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _json(content: JsonObject) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _is_number(value: object) -> bool:
    return port_number(value) is not None


def _header(kind: str, msg_id: str, session: str, username: str, now: float) -> bytes:
    """Return a header with all six fields, each of which ark requires."""
    date = datetime.fromtimestamp(now, UTC).isoformat()
    names = {"msg_id": msg_id, "session": session, "username": username}
    return _json({**names, "date": date, "msg_type": kind, "version": "5.3"})
