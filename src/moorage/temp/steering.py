"""What an operator has told a service while it ran, kept for the one that comes after it.

It counts as long as the command line says what it said then: another number there is a newer word.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from moorage.errors import OutputError
from moorage.plan.visits import DrainChanged, LimitsChanged, OfferName
from moorage.temp.identity import write_private

log = logging.getLogger("moorage.temp")

FILE = "steering.json"


class Steering(msgspec.Struct, frozen=True):
    """What was told.

    Attributes:
        started: capacity and spares as the command line said them.
        draining: whether no new visitors are let in.
        capacity: how many servers there may be; None for what the command line says.
        spares: how many are kept ready of each offer; None for what the offers say.
        offers: how many are kept ready of single ones, after that.
    """

    started: tuple[int, int]
    draining: bool = False
    capacity: int | None = None
    spares: int | None = None
    offers: Mapping[OfferName, int] = {}

    def after(self, event: DrainChanged | LimitsChanged) -> Steering:
        """Return what has been told with one word more."""
        if isinstance(event, DrainChanged):
            return msgspec.structs.replace(self, draining=event.draining)
        told = self
        if event.capacity is not None:
            told = msgspec.structs.replace(told, capacity=event.capacity)
        if event.spares is not None and event.offer is None:
            told = msgspec.structs.replace(told, spares=event.spares, offers={})
        elif event.spares is not None and event.offer is not None:
            told = msgspec.structs.replace(told, offers={**told.offers, event.offer: event.spares})
        return told

    @property
    def events(self) -> list[DrainChanged | LimitsChanged]:
        """What a service is told so that all of it holds."""
        told: list[DrainChanged | LimitsChanged] = []
        if self.capacity is not None or self.spares is not None:
            told.append(LimitsChanged(self.capacity, self.spares))
        told += [LimitsChanged(spares=number, offer=offer) for offer, number in self.offers.items()]
        return [*told, DrainChanged(True)] if self.draining else told


class KeptSteering:
    """What is kept of it in a state directory.

    Args:
        state: the directory.
        capacity: as the command line says it.
        spares: ... too.
    """

    def __init__(self, state: Path, capacity: int, spares: int) -> None:
        self._path = state / FILE
        started = (capacity, spares)
        self.told = _read(self._path, Steering(started))
        if self.told.started != started:
            self.told = Steering(started, draining=self.told.draining)

    def tell(self, event: DrainChanged | LimitsChanged) -> None:
        """Keep one word more.

        Raises:
            OutputError: it cannot be written down; then it is not kept.
        """
        told = self.told.after(event)
        unfinished = self._path.with_name(f"{FILE}.new")
        try:
            unfinished.unlink(missing_ok=True)
            write_private(unfinished, msgspec.json.encode(told))
            unfinished.rename(self._path)
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written", why=error.strerror or str(error)) from error
        self.told = told


def _read(path: Path, none: Steering) -> Steering:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Steering)
    except FileNotFoundError:
        return none
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("What was changed while an earlier service ran is not known: %s: %s", path, error)
        return none
