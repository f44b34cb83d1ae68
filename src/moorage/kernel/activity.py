"""Whether a kernel runs anything, for whomever: what it says of itself on iopub."""

from __future__ import annotations

from moorage.wire.messages import Message


class Activity:
    """Follows the states a kernel publishes, each request's by itself: shell and control overlap."""

    def __init__(self) -> None:
        self._under_way: set[str] = set()

    @property
    def busy(self) -> bool:
        """Whether some request has been begun and, as far as one has heard, not ended."""
        return bool(self._under_way)

    def handle(self, message: Message) -> None:
        """Take in an iopub message."""
        if message.msg_type != "status":
            return
        match message.content.get("execution_state"):
            case "busy":
                self._under_way.add(message.parent_id)
            case "idle":
                self._under_way.discard(message.parent_id)

    def forget(self) -> None:
        """The process has been replaced: what it was at is nobody's business any more."""
        self._under_way.clear()
