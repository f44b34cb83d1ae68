"""The clients of this process that speak to one kernel, as its supervisor needs them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from moorage.errors import MoorageError
from moorage.kernel.activity import Activity
from moorage.wire import messages
from moorage.wire.messages import Channel

if TYPE_CHECKING:
    from moorage.kernel.client import Client


class Clients:
    """Clients of one kernel.

    Attributes:
        activity: what the kernel is at, for them and for clients of other processes.
    """

    def __init__(self, objection: Callable[[], MoorageError | None]) -> None:
        """Begin with none.

        Args:
            objection: returns why no client can be attached any more, if that is so.
        """
        self.activity = Activity()
        self._objection = objection
        self._clients: list[Client] = []

    def attach(self, client: Client, session: str) -> None:
        """Tell ``client`` when the kernel dies.

        Args:
            client: of this process.
            session: its session.

        Raises:
            MoorageError: the kernel has died.
        """
        if (error := self._objection()) is not None:
            raise error
        self._clients.append(client)
        self.activity.own_sessions.add(session)
        client.listen(self.activity.handle)

    def ask_to_end(self, *, by_shell: bool) -> None:
        """Send a shutdown request; nothing happens where no client can: the ladder's next rung will do.

        Args:
            by_shell: on the shell channel, where the kernel is idle; else on control.
        """
        for client in self._clients[:1]:
            idle = not (client.busy or self.activity.busy_for_others)
            channel: Channel = "shell" if by_shell and idle else "control"
            with suppress(MoorageError):
                client.request(channel, messages.shutdown_request(restart=False))

    def fail(self, error: MoorageError, *, for_good: bool = False, replaced: bool = False) -> None:
        """Fail what is under way; see :meth:`moorage.kernel.client.Client.fail`."""
        for client in self._clients:
            client.fail(error, for_good=for_good, replaced=replaced)

    async def receive_rest(self) -> None:
        """Wait for what a kernel that has ended said before. Cancelling is safe."""
        for client in self._clients:
            await client.receive_rest()
