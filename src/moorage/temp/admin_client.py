"""The other end of the admin interface: what commands ask a running service."""
# ruff: noqa: E402 - Python has no Unix sockets on Windows

from __future__ import annotations

import http.client
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

assert sys.platform != "win32", "Python has no Unix sockets there"

from moorage.errors import DeadlineExceeded, UsageError
from moorage.wire.temp_admin import (
    SOCKET,
    InvitationInfo,
    InvitationList,
    NewInvitation,
    Refused,
    ServerInfo,
    ServerList,
    Settings,
    Stats,
    encode,
    read,
)

T = TypeVar("T")

ANSWER = 30.0
"""Seconds for an answer: a machine with a class on it is busy."""
TIMES = 3
"""So often is asked what changes nothing."""


class AdminClient:
    """Asks the service of a state directory, with a connection for each question.

    Every method raises UsageError when no service has the directory, or it refuses, DeadlineExceeded when it
    does not answer, and ProtocolError when it is of a version that says something else.

    Args:
        state: the directory.
        late: is told in a sentence that an answer is late, and is waited for again; None to wait once.
    """

    def __init__(self, state: Path, late: Callable[[str], None] | None = None) -> None:
        self._state = state
        self._late = late

    def stats(self) -> Stats:
        """Return how things stand."""
        return read(self._ask("GET", "/api/stats"), Stats)

    def servers(self) -> tuple[ServerInfo, ...]:
        """Return all servers that have not ended."""
        return read(self._ask("GET", "/api/servers"), ServerList).servers

    def end(self, server: str) -> None:
        """Have a server ended; it may not have when this returns."""
        self._ask("DELETE", f"/api/servers/{server}")

    def change(self, settings: Settings) -> Stats:
        """Change settings; return how things stand then."""
        return read(self._ask("PATCH", "/api/settings", encode(settings)), Stats)

    def drain(self, *, undo: bool = False) -> None:
        """Have no new visitors let in, or have them let in again."""
        self._ask("DELETE" if undo else "POST", "/api/drain")

    def invite(self, wanted: NewInvitation) -> InvitationInfo:
        """Have an invitation made."""
        return read(self._ask("POST", "/api/invitations", encode(wanted)), InvitationInfo)

    def invitations(self) -> tuple[InvitationInfo, ...]:
        """Return all invitations that are kept."""
        return read(self._ask("GET", "/api/invitations"), InvitationList).invitations

    def withdraw(self, invitation: str) -> None:
        """Have an invitation let in no further visitor."""
        self._ask("DELETE", f"/api/invitations/{invitation}")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Ask; what changes nothing is asked again where the answer is late."""
        late = self._late
        for _ in range(TIMES - 1 if late is not None and method == "GET" else 0):
            with suppress(DeadlineExceeded):
                return self._asked(method, path, body)
            if late is not None:
                late(f"The service is busy and has not answered for {ANSWER:g} s: it is asked again")
        return self._asked(method, path, body)

    def _asked(self, method: str, path: str, body: bytes | None) -> bytes:
        connection = _UnixConnection(self._state / SOCKET)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            said = answer.read()
        except TimeoutError:
            what = f"the moorage temp of {self._state} does not answer within {ANSWER:g} s"
            raise DeadlineExceeded(
                what,
                why="It is there, and very busy, or hangs",
                do="Try again, and look at the load of the machine"
                if method == "GET"
                else "Look with moorage temp status before you try again: it may do so yet",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"no moorage temp runs with the state directory {self._state}",
                why=why,
                do="Name that of a running one by its --port, or with --state",
            ) from None
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise UsageError(_reason(said))
        return said


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("moorage", timeout=ANSWER)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER)
        self.sock.connect(str(self._path))


def _reason(said: bytes) -> str:
    try:
        return msgspec.json.decode(said, type=Refused).error
    except msgspec.MsgspecError:
        return said.decode(errors="replace")[:200]
