"""What a crowd is."""

from __future__ import annotations

from msgspec import Struct


class LoadSettings(Struct, frozen=True):
    """What is asked of a crowd.

    Attributes:
        url: of the page with the button.
        visitors: how many come.
        within: seconds in which they come.
        notebooks: how many each opens, with a kernel each.
        seconds: from the first visitor to the end of all.
        stay: seconds after which a visitor ends its server and leaves; 0 to stay until the end of all.
        pause: seconds between two cells of a notebook, on average.
        patience: seconds after which a step has failed.
        own: whether the user says that all machines are its own that the service leads to.
    """

    url: str
    visitors: int = 20
    within: float = 60.0
    notebooks: int = 1
    seconds: float = 180.0
    stay: float = 0.0
    pause: float = 10.0
    patience: float = 60.0
    own: bool = False
