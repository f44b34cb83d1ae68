"""How a process ended: exit code, signal, out of memory, or unknown."""

from __future__ import annotations

import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class ExitStatus:
    """How a process ended, as the system reports it.

    Attributes:
        code: exit code, or None when a signal ended it or it is unknown.
        signal: number of the signal that ended it, or None.
        out_of_memory: True only when the control group's oom_kill counter rose while it lived.
        peak_memory: largest resident set in bytes (ru_maxrss), or None when unknown.
    """

    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    peak_memory: int | None = None

    def describe(self) -> str:
        """Return the end in words: ``exit code 3``, ``killed by SIGSEGV``, ``out of memory``."""
        if self.out_of_memory:
            return "killed: out of memory"
        if self.signal is not None:
            try:
                name = signal.Signals(self.signal).name
            except ValueError:
                name = f"signal {self.signal}"
            return "killed by SIGKILL, cause unknown" if name == "SIGKILL" else f"killed by {name}"
        if self.code is not None:
            return f"exit code {self.code}"
        return "ended, exit status unknown"
