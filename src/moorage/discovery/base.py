"""WHAT can run: what a provider returns, and how one is written.

A provider is found by the entry point group ``moorage.providers``. The entry point names a
:class:`Provider`, or a function without arguments that returns one::

    def look(around):
        command = ("box-kernel", "{connection_file}")
        spec = KernelSpec("box", command, "Box", "box", provider="my", place=Box("box.example.org"))
        return [KernelType(spec, where="the box")]

    provider = from_blocking("my", look)

``Box`` is a :class:`moorage.places.base.Place`, see docs/how-to/places.md. Without one the kernels are
processes of this machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import MoorageError
from moorage.tasks import in_thread

if TYPE_CHECKING:
    from moorage.rendezvous.base import Way

T = TypeVar("T")


class Lack(msgspec.Struct, frozen=True):
    """Why a kernel type that is known cannot be launched as things are.

    Attributes:
        why: a clause without a full stop.
        do: what to type or to do about it.
    """

    why: str
    do: str


@dataclass(frozen=True)
class KernelType:
    """Something that can be launched.

    Attributes:
        spec: command, variables, names and the place where it runs; ``spec.provider`` names the provider
            that found it.
        where: for people: the folder, environment or machine it comes from.
        lack: why it cannot be launched now; None when it can.
        attach: connection file of a kernel that runs already, for attaching to; None for what is launched.
        stale: an earlier answer, which may no longer be true.
    """

    spec: KernelSpec
    where: str = ""
    lack: Lack | None = None
    attach: Path | None = None
    stale: bool = False

    @property
    def name(self) -> str:
        """Its full name, ``provider/name``."""
        return self.spec.kernel_type

    @property
    def runs_on(self) -> str:
        """Where its kernels run, for people: ``this machine``, or what its place is called."""
        return "this machine" if self.spec.place is None else self.spec.place.name

    def rendezvous(self) -> Way | None:
        """Return how its kernels and moorage would agree on addresses.

        Returns:
            None where it cannot be launched, or its place does not say.
        """
        if self.lack is not None or not self.spec.argv:
            return None
        if self.spec.place is None:
            from moorage.rendezvous.choice import decide

            return decide(self.spec)[0]
        with suppress(MoorageError):
            return self.spec.place.ways(self.spec, "auto")[0]
        return None

    def logos(self) -> dict[str, Path]:
        """Return the pictures in its resource folder by their names without suffix (``logo-64x64``)."""
        found: dict[str, Path] = {}
        if self.spec.resource_dir is not None:
            with suppress(OSError):
                for path in sorted(self.spec.resource_dir.glob("logo-*")):
                    found.setdefault(path.stem, path)
        return found


@dataclass(frozen=True)
class Around:
    """Where a search begins.

    Attributes:
        directory: absolute; what belongs to its project is found.
        environ: environment variables that say where things are. Not shown: they may hold secrets.
        paths: further folders to search, from the configuration.
    """

    directory: Path
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    paths: tuple[Path, ...] = ()

    @property
    def home(self) -> Path:
        """The user's home."""
        home = self.environ.get("HOME")
        return Path(home) if home else Path.home()


class Provider(Protocol):
    """Finds kernel types.

    A provider may also have ``async get(name, around)``, which is asked when one type is wanted by name
    (without its provider's) and returns it or None. Without it, what ``find`` returns is searched.
    """

    @property
    def name(self) -> str:
        """First part of its kernel types' names: letters, digits, ``.``, ``_`` and ``-``."""
        ...

    @property
    def slow(self) -> bool:
        """Whether looking takes longer than a list may: answers are kept, and refreshed in the background.

        A slow provider's answers must not depend on the directory that a search begins in.
        """
        ...

    async def find(self, around: Around) -> Sequence[KernelType]:
        """Return its kernel types, most important first.

        It is called in a loop and a thread of its own. What it raises becomes a line of the list, and
        costs the other providers nothing. Cancelling must be safe.
        """
        ...


Look = Callable[[Around], Sequence[KernelType]]
Get = Callable[[str, Around], "KernelType | None"]


@dataclass(frozen=True)
class Blocking:
    """A provider made of plain functions, see :func:`from_blocking`."""

    name: str
    look: Look
    get_one: Get | None = None
    slow: bool = False

    async def find(self, around: Around) -> Sequence[KernelType]:
        """Return what the function returns, which runs in a thread. Cancelling abandons it."""
        return await in_thread(lambda: self.look(around), name=f"find {self.name}")

    async def get(self, name: str, around: Around) -> KernelType | None:
        """Return one kernel type by its name within this provider, or None. Cancelling abandons the look."""
        return await in_thread(lambda: self.pick(name, around), name=f"get {self.name}")

    def pick(self, name: str, around: Around) -> KernelType | None:
        """Do what :meth:`get` does, here and now."""
        if self.get_one is not None:
            return self.get_one(name, around)
        return named(name, self.look(around))


def from_blocking(name: str, look: Look, *, get: Get | None = None, slow: bool = False) -> Provider:
    """Make a provider of plain functions, which may block.

    Args:
        name: first part of its kernel types' names.
        look: given an :class:`Around`, returns all kernel types.
        get: given a name without the provider's and an :class:`Around`, returns one or None; without it,
            what ``look`` returns is searched.
        slow: see :attr:`Provider.slow`.

    Raises:
        ValueError: the name has characters it must not have.
    """
    if not is_provider_name(name):
        raise ValueError(f"{name!r} is no name for a provider: letters, digits, '.', '_' and '-' are")
    return Blocking(name, look, get, slow)


def is_provider_name(name: str) -> bool:
    """Tell whether a provider may be called so."""
    return re.fullmatch(r"[A-Za-z0-9._-]+", name) is not None


def named(name: str, types: Sequence[KernelType]) -> KernelType | None:
    """Return the kernel type of this name, without its provider's, or None."""
    return next((one for one in types if one.spec.name == name), None)
