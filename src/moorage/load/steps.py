"""What a visitor does, in the order in which it does it first."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Step(StrEnum):
    """A step that is timed; the value stands in JSON."""

    FRONT = "front"
    BUTTON = "button"
    QUEUE = "queue"
    READY = "ready"
    PAGE = "page"
    NOTEBOOK = "notebook"
    KERNEL = "kernel"
    FIRST = "first"
    EXECUTE = "execute"
    SAVE = "save"
    POLL = "poll"
    END = "end"


TITLES: dict[Step, str] = {
    Step.FRONT: "front page",
    Step.BUTTON: "button to redirect",
    Step.QUEUE: "in the queue",
    Step.READY: "redirect to ready",
    Step.PAGE: "files of the page",
    Step.NOTEBOOK: "open a notebook",
    Step.KERNEL: "kernel start",
    Step.FIRST: "first execution",
    Step.EXECUTE: "execution",
    Step.SAVE: "save",
    Step.POLL: "poll",
    Step.END: "end the server",
}
"""What each is called in tables."""


class Trouble(Struct, frozen=True):
    """Why a step failed.

    Attributes:
        text: in words.
        status: of the answer; 0 where there was none.
    """

    text: str
    status: int = 0


class StepFailed(Exception):
    """A step did not end well.

    Args:
        text: in words.
        status: of the answer; 0 where there was none.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.trouble = Trouble(text, status)
