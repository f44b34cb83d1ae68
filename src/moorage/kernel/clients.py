"""The clients of this process that speak to one kernel, as its supervisor needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from moorage.errors import MoorageError
from moorage.kernel.activity import Activity
from moorage.kernel.standstill import Standstill
from moorage.wire import messages
from moorage.wire.messages import Channel

if TYPE_CHECKING:
    from moorage.kernel.client import Client
    from moorage.wire.connection import ConnectionInfo
    from moorage.wire.messages import Message

    Move = Callable[[ConnectionInfo], None]


class Clients:
    """Clients of one kernel.

    Attributes:
        activity: what the kernel is at, for them and for clients of other processes.
        standstill: whether its process is stopped, where it owes one of them an answer.
    """

    def __init__(
        self,
        objection: Callable[[], MoorageError | None],
        look: Callable[[], str] = lambda: "",
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Begin with none.

        Args:
            objection: returns why no client can be attached any more, if that is so.
            look: returns what holds the kernel's process still, in words.
            tell: called when that has changed.
        """
        self.activity = Activity()
        self.standstill = Standstill(self._owed, look, tell)
        self._objection = objection
        self._clients: dict[Client, Move | None] = {}

    def __iter__(self) -> Iterator[Client]:
        return iter(tuple(self._clients))

    @contextmanager
    def attached(self, client: Client, session: str, move: Move | None = None) -> Iterator[None]:
        """Tell ``client`` when the kernel dies, for as long as the block lasts.

        Args:
            client: of this process.
            session: its session.
            move: has it speak to the kernel at other addresses; None where what it speaks through does.

        Raises:
            MoorageError: the kernel has died.
        """
        if (error := self._objection()) is not None:
            raise error
        self._clients[client] = move
        self.activity.own_sessions.add(session)
        unlisten = client.listen(self._heard, asked=self.standstill.asked)
        try:
            yield
        finally:
            unlisten()
            self.activity.own_sessions.discard(session)
            del self._clients[client]

    def move(self, addresses: ConnectionInfo) -> None:
        """Have the clients speak to the kernel at other addresses, if these are others."""
        for move in self._clients.values():
            if move is not None:
                move(addresses)

    def ask_to_end(self, *, by_shell: bool) -> None:
        """Send a shutdown request; nothing happens where no client can: the ladder's next rung will do.

        Args:
            by_shell: on the shell channel, where the kernel is idle; else on control.
        """
        for client in tuple(self._clients)[:1]:
            idle = not (client.busy or self.activity.busy_for_others)
            channel: Channel = "shell" if by_shell and idle else "control"
            with suppress(MoorageError):
                client.request(channel, messages.shutdown_request(restart=False))

    def fail(self, error: MoorageError, *, for_good: bool = False, replaced: bool = False) -> None:
        """Fail what is under way; see :meth:`moorage.kernel.client.Client.fail`."""
        for client in self:
            client.fail(error, for_good=for_good, replaced=replaced)

    async def drop_unsent(self) -> None:
        """Forget a process of which nothing is left: what it was sent reaches no other one.

        Cancelling is safe.
        """
        for client in self:
            await client.drop_unsent()
        self.activity.forget()
        self.standstill.forget()

    async def receive_rest(self) -> None:
        """Wait for what a kernel that has ended said before. Cancelling is safe."""
        for client in self:
            await client.receive_rest()

    def _owed(self) -> bool:
        return self.activity.busy or any(client.busy for client in self._clients)

    def _heard(self, message: Message) -> None:
        self.activity.handle(message)
        self.standstill.heard()
