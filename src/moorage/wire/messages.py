"""The messages of Jupyter's protocol, their header, and the requests a client makes.

The second half is the protocol's table of contents: one function per request, each returning what
``Session.request`` wants, ``(msg_type, content)``. Source: "Messaging in Jupyter" 5.3 to 5.6,
https://jupyter-client.readthedocs.io/en/stable/messaging.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from moorage.json_types import JsonObject

Channel = Literal["shell", "control", "iopub", "stdin"]
"""The channels that carry messages. The heartbeat echoes raw bytes and is none of them."""

Buffer = bytes | memoryview
Request = tuple[str, JsonObject]
"""A message type and its content."""

PROTOCOL_VERSION = "5.3"


class Header(msgspec.Struct, frozen=True):
    """Sender, type and time of a message.

    Attributes:
        msg_id: names this message; replies and outputs carry it in their parent header.
        msg_type: what ``content`` holds.
        session: names the sender's session.
        username: the sender's user, as it calls itself.
        date: ISO 8601, as the sender wrote it; empty when it wrote none.
        version: the protocol version the sender speaks.
    """

    msg_id: str
    msg_type: str
    session: str = ""
    username: str = ""
    date: str = ""
    version: str = PROTOCOL_VERSION


class Message(msgspec.Struct, frozen=True):
    """One message of the Jupyter protocol.

    Attributes:
        channel: where it was received or is to be sent.
        header: its own header.
        parent_header: the header of the message that caused it, as it came; empty when nothing did.
        metadata: what the sender adds.
        content: its shape depends on ``header.msg_type``.
        buffers: binary frames, not copied and, by the protocol's rules, not signed.
        identities: routing frames before the delimiter; on iopub the topic.
    """

    channel: str
    header: Header
    parent_header: JsonObject = {}
    metadata: JsonObject = {}
    content: JsonObject = {}
    buffers: tuple[Buffer, ...] = ()
    identities: tuple[bytes, ...] = ()

    @property
    def msg_type(self) -> str:
        """What ``content`` holds."""
        return self.header.msg_type

    @property
    def parent_id(self) -> str:
        """The ``msg_id`` of the message that caused this one, or an empty string."""
        found = self.parent_header.get("msg_id", "")
        return found if isinstance(found, str) else ""

    def __repr__(self) -> str:
        """Name the message without its content, which may be a password on its way to a kernel."""
        parent = f" for {self.parent_id}" if self.parent_id else ""
        return f"<Message {self.channel} {self.msg_type} {self.header.msg_id}{parent}>"


def execute_request(
    code: str,
    *,
    silent: bool = False,
    store_history: bool = True,
    user_expressions: Mapping[str, str] | None = None,
    allow_stdin: bool = False,
    stop_on_error: bool = True,
) -> Request:
    """Run ``code``; the kernel answers ``execute_reply`` and, around it, busy and idle on iopub.

    Args:
        code: source in the kernel's language.
        silent: no output, no history, no execution count.
        store_history: keep it in the kernel's history; implied False by ``silent``.
        user_expressions: evaluated afterwards, name to expression.
        allow_stdin: the kernel may ask for input on the stdin channel.
        stop_on_error: after an error, requests already queued in the kernel are aborted.
    """
    return "execute_request", {
        "code": code,
        "silent": silent,
        "store_history": store_history and not silent,
        "user_expressions": dict(user_expressions or {}),
        "allow_stdin": allow_stdin,
        "stop_on_error": stop_on_error,
    }


def kernel_info_request() -> Request:
    """Ask which language and protocol the kernel speaks."""
    return "kernel_info_request", {}


def shutdown_request(*, restart: bool) -> Request:
    """Ask the kernel to end itself; it says in its reply whether a restart is to follow."""
    return "shutdown_request", {"restart": restart}


def interrupt_request() -> Request:
    """Interrupt by message: for kernelspecs with ``interrupt_mode`` "message", on control."""
    return "interrupt_request", {}


def complete_request(code: str, cursor_pos: int) -> Request:
    """Ask for completions of ``code`` at ``cursor_pos``, counted in Unicode code points."""
    return "complete_request", {"code": code, "cursor_pos": cursor_pos}


def inspect_request(code: str, cursor_pos: int, *, detail_level: Literal[0, 1] = 0) -> Request:
    """Ask what stands at ``cursor_pos`` (code points); level 1 adds the source where there is one."""
    return "inspect_request", {"code": code, "cursor_pos": cursor_pos, "detail_level": detail_level}


def is_complete_request(code: str) -> Request:
    """Ask whether ``code`` can run as it is, or wants another line."""
    return "is_complete_request", {"code": code}


def history_request(n: int, *, output: bool = False, raw: bool = True) -> Request:
    """Ask for the newest ``n`` entries of the history.

    Args:
        n: how many entries.
        output: results too, not only what was typed.
        raw: as typed, before the kernel transformed it.
    """
    return "history_request", {"hist_access_type": "tail", "n": n, "output": output, "raw": raw}


def comm_info_request(target_name: str | None = None) -> Request:
    """Ask which comms are open, all of them or those of one target."""
    return "comm_info_request", {} if target_name is None else {"target_name": target_name}


def input_reply(value: str) -> Request:
    """Answer an ``input_request``, on stdin, with the request as parent."""
    return "input_reply", {"status": "ok", "value": value}
