"""What a client sends: signed, and held back while another process is to take the kernel's place."""

from __future__ import annotations

from datetime import UTC, datetime

from moorage.kernel.transport import Transport
from moorage.wire import messages
from moorage.wire.messages import Channel, Message
from moorage.wire.session import Session


class Outbox:
    """Messages on their way to one kernel."""

    def __init__(self, session: Session, transport: Transport) -> None:
        """Take what signs the messages and what carries them."""
        self._session = session
        self._transport = transport
        self._held: list[tuple[Channel, Message]] | None = None

    def send(
        self,
        channel: Channel,
        request: messages.Request,
        parent: Message | None = None,
        *,
        ahead: bool = False,
    ) -> Message:
        """Send a message, or hold it back.

        Args:
            channel: where to.
            request: message type and content.
            parent: what it answers.
            ahead: send it at once in any case: the kernel has yet to answer it.

        Returns:
            The message.

        Raises:
            ProtocolError: what is at the other end is no kernel.
        """
        kind, content = request
        date = datetime.now(UTC).isoformat()
        message = self._session.request(channel, kind, content, date=date, parent=parent)
        if self._held is None or ahead:
            self._transport.send(channel, self._session.pack(message))
        else:
            self._held.append((channel, message))
        return message

    def hold(self) -> None:
        """Hold back what is sent from now on; what is held back already stays so."""
        self._held = self._held or []

    def holds(self, message: Message) -> bool:
        """Tell whether a message is held back."""
        return any(held is message for _, held in self._held or ())

    def release(self) -> None:
        """Send what was held back, in order, and hold back nothing any more."""
        held, self._held = self._held, None
        for channel, message in held or ():
            self._transport.send(channel, self._session.pack(message))
