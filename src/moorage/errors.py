"""One tree of exceptions.

Every error has a stable code, says whose fault it is, and reads ``WHAT (CODE). WHY. DO THIS``::

    MoorageError
     ├─ UsageError             E-USAGE      the command or call cannot be carried out; nothing was done
     │   ├─ ConfigurationError E-CONFIG     moorage.toml or pyproject.toml is wrong
     │   └─ IsolationError     E-ISOLATE    this machine gives no namespaces
     ├─ MissingExtra           E-EXTRA      an optional dependency is not installed
     ├─ KernelTypeNotFound     E-NO-KERNEL  nothing here has that name
     ├─ DocumentError          E-DOCUMENT   a source cannot be read as a notebook
     ├─ OutputError            E-OUTPUT     a result cannot be written
     ├─ LaunchError            E-LAUNCH     the process could not be started
     ├─ KernelDied             E-DIED       the kernel's process ended when it should not have
     │   └─ StartDeath         E-START      ... before it ever answered
     ├─ CodeFailed             E-CODE       code that a kernel ran raised an exception
     ├─ DeadlineExceeded       E-DEADLINE   something took longer than the caller allows
     ├─ ProtocolError          E-PROTOCOL   the peer sent what is no message
     ├─ WardenLost             E-WARDEN     the process that owns all kernels is gone
     └─ KeeperLost             E-KEEPER     the process that keeps another one is gone, or cannot be reached
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:  # dataclasses take milliseconds that `import moorage` need not pay
    from moorage.exit_status import ExitStatus

Fault = Literal["user", "kernel", "machine", "moorage"]


def sentence(text: str) -> str:
    """Return ``text`` with a full stop unless it already ends one."""
    text = text.strip()
    return text if not text or text[-1] in ".!?:" or "\n" in text else text + "."


class MoorageError(Exception):
    """Root of everything moorage raises on purpose.

    Args:
        what: what happened, one clause without a full stop.
        why: the reason, as far as it is known.
        do: what the reader can do about it.
    """

    code: ClassVar[str] = "E-MOORAGE"
    fault: ClassVar[Fault] = "moorage"

    def __init__(self, what: str, *, why: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.do = do

    def __str__(self) -> str:
        rest = " ".join(part for part in (sentence(self.why), sentence(self.do)) if part)
        return f"{self.what} ({self.code}). {rest}".rstrip()


class UsageError(MoorageError):
    """The call or command line cannot be carried out. Nothing was done."""

    code = "E-USAGE"
    fault: ClassVar[Fault] = "user"


class ConfigurationError(UsageError):
    """A configuration file says something that cannot be."""

    code = "E-CONFIG"


class IsolationError(UsageError):
    """The machine or the container gives no namespaces; ``do`` says what would change that."""

    code = "E-ISOLATE"
    fault = "machine"


class MissingExtra(MoorageError):
    """An optional dependency is not installed; ``do`` is the command to type."""

    code = "E-EXTRA"
    fault = "user"


class KernelTypeNotFound(MoorageError):
    """No provider knows a kernel type of that name."""

    code = "E-NO-KERNEL"
    fault = "user"


class DocumentError(MoorageError):
    """A source cannot be read as a notebook."""

    code = "E-DOCUMENT"
    fault = "user"


class OutputError(MoorageError):
    """A result cannot be written where it belongs."""

    code = "E-OUTPUT"
    fault = "machine"


class LaunchError(MoorageError):
    """A process could not be started at all (no such program, no such directory)."""

    code = "E-LAUNCH"
    fault = "machine"


class KernelDied(MoorageError):
    """The kernel's process ended while it was still needed.

    Args:
        what: what happened.
        exit_status: how it ended; None where no process of this machine is known.
        output: the tail of what the process wrote to stdout and stderr.
        restarting: another process is about to take its place: what is asked from now on is for that.
    """

    code = "E-DIED"
    fault = "kernel"

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        do: str = "",
        exit_status: ExitStatus | None = None,
        output: str = "",
        restarting: bool = False,
    ) -> None:
        super().__init__(what, why=why, do=do)
        self.exit_status = exit_status
        self.output = output
        self.restarting = restarting


class StartDeath(KernelDied):
    """The kernel's process ended before it ever answered."""

    code = "E-START"


class CodeFailed(MoorageError):
    """Code that a kernel ran raised an exception, see :meth:`moorage.kernel.result.Result.raise_for_error`.

    Args:
        what: what happened.
        ename: name of the exception's class, as the kernel gives it; empty where the code did not run.
        evalue: its text.
        traceback: its lines, often with ANSI colours.
    """

    code = "E-CODE"
    fault = "user"

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        do: str = "",
        ename: str = "",
        evalue: str = "",
        traceback: Sequence[str] = (),
    ) -> None:
        super().__init__(what, why=why, do=do)
        self.ename = ename
        self.evalue = evalue
        self.traceback = tuple(traceback)


class DeadlineExceeded(MoorageError):
    """Something took longer than its caller allows."""

    code = "E-DEADLINE"
    fault = "kernel"


class ProtocolError(MoorageError):
    """What arrived is no valid message: malformed, badly signed, or seen before."""

    code = "E-PROTOCOL"
    fault = "kernel"


class WardenLost(MoorageError):
    """The warden, the process that owns every kernel, is gone."""

    code = "E-WARDEN"


class KeeperLost(MoorageError):
    """A keeper, the process that keeps another one alive, is gone or cannot be reached."""

    code = "E-KEEPER"
    fault = "machine"
