"""A charge behind walls that can sleep: what the keeper says to the process that tends it, and hears.

That process runs as the visitor, whose programs may speak in its place. What is heard is their word: each
thing that can be said now is heard once, and whatever else comes makes the charge lost. Nothing is waited
for. docs/design/0021-walls.md says what that holds against.

Standard library only, from Python 3.9 on, and nothing of the package.
"""

from __future__ import annotations

import os
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from moorage.keeper.process.beside import Forks
    from moorage.keeper.process.charge import Execute

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.keeper.process import charge, record
    from moorage.process.warden import program
else:
    from warden import program

    from keeper.process import charge, record

assert sys.platform == "linux", "only Linux has namespaces"

TOLD = 100
"""Bytes of what is heard at once."""
MOST_LEFT = 1 << 20
MOST_PEAK = 1 << 60


class TendedCharge(charge.Charge):
    """A charge with what starts it again.

    Attributes:
        pid: process id of what tends it, which lives as long as there is anything behind the walls.
        lost: whether that has ended, or is not to be trusted any more.
        asleep: whether nothing of it is left but what the warden has started.
        left: processes that could not be killed then.
    """

    def __init__(
        self, spec: dict[str, Any], marker: str, prctl: Any, execute: Execute | None, forks: Forks
    ) -> None:
        """Fork what tends it, and have that fork it; as :class:`~moorage.keeper.process.charge.Charge`."""
        super().__init__(spec, marker, prctl, execute, forks=forks)
        self._tender = socket.socket(fileno=self._fate)
        self._marker = marker
        self._number = 1  # of the program that was started last
        self._live = {1}  # those whose end was not told
        self._resting = False
        self.lost = self.asleep = False
        self.left = 0

    def watched(self) -> list[int]:
        """Return the descriptors that tell of it."""
        return [*super().watched(), *([] if self.lost else [self._tender.fileno()])]

    def reap(self) -> bool:
        """Collect the dead; return whether the charge has ended, or was lost."""
        return super().reap() | self._hear()

    def _exited(self, status: int, peak: int) -> None:
        self._hear()
        self._lose()
        if self.ended is None:
            self.ended = self._how(status, peak)

    def _lose(self) -> bool:
        self.lost = True
        self._tender.close()
        self._fate = -1
        return True

    def _hear(self) -> bool:
        """Take in what is told; return whether the charge has ended, or was lost."""
        found = False
        while not self.lost:
            try:
                words = self._tender.recv(TOLD).decode(errors="replace").split()
            except BlockingIOError:
                break
            except OSError:
                words = []
            found |= self._take(words)
        return found

    def _take(self, words: list[str]) -> bool:
        numbers = [charge.told_number(word, MOST_PEAK) for word in words[1:]]
        what = words[0] if words and None not in numbers else ""
        told = [each or 0 for each in numbers]
        if what == "asleep" and len(told) == 1 and self._resting and not self.asleep:
            self.asleep, self.left = True, min(told[0], MOST_LEFT)
            return False
        if what == "ended" and len(told) == 3 and told[0] in self._live:
            self._live.remove(told[0])
            if told[0] != self._number:
                return False
            self.ended = self._how(min(told[1], charge.MOST_STATUS), told[2])
            return True
        return self._lose()

    def put_to_sleep(self) -> TenderKill:
        """Have it killed with all it has started; return what tells when that is done."""
        self.doom()
        self._resting, self.asleep = True, False
        try:  # noqa: SIM105 - contextlib would be one more module to load
            self._say(b"sleep", [])
        except OSError:  # it is lost then
            pass
        return TenderKill(self)

    def wake(self, spec: dict[str, Any]) -> None:
        """Have it started again.

        Args:
            spec: ``argv``, ``env``, ``cwd``.

        Raises:
            StartRefused: no descriptors are left, or what tends it is lost.
        """
        spec["env"][record.MARKER] = self._marker
        opened: list[int] = []
        try:
            opened.append(program.packed(spec))
            reader, writer = os.pipe()
            opened += [writer, reader]
            os.set_blocking(reader, False)
            self._number += 1
            self._say(f"start {self._number}".encode(), opened[:2])
        except OSError as error:
            for fd in opened:
                os.close(fd)
            raise charge.StartRefused("descriptors", error.errno or 0) from None
        for fd in opened[:2]:
            os.close(fd)
        self._live.add(self._number)
        self.report, self._resting, self.asleep = reader, False, False
        self.ended, self.started = None, time.time()
        self.doom(doomed=False)
        self._count_oom()

    def _say(self, order: bytes, fds: list[int]) -> None:
        try:
            socket.send_fds(self._tender, [order], fds)
        except OSError:
            self._lose()
            raise


class TenderKill:
    """The killing of a charge by what tends it; see :class:`~moorage.keeper.process.tree.ChargeKill`.

    Args:
        tended: the charge.
    """

    def __init__(self, tended: TendedCharge) -> None:
        self._tended = tended

    @property
    def left(self) -> int:
        """How many processes could not be killed."""
        return self._tended.left

    def strike(self) -> bool:
        """Return True when it is told to be done."""
        return self._tended.asleep

    def pause(self) -> float:
        """Return how many milliseconds the next step may wait: what is told ends the waiting sooner."""
        return 1000.0
