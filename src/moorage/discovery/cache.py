"""What slow providers found last, kept for the lists of every program of this user.

One file for each provider, written whole; whatever cannot be read counts as never written. Variables of
kernelspecs are left out, because they may hold secrets, and of a place its name is kept: what is kept can be
listed, not launched.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.discovery.base import KernelType, Lack
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import LaunchError
from moorage.json_types import JsonObject
from moorage.regular import read_regular

if TYPE_CHECKING:
    from moorage.places.base import Workspace
    from moorage.rendezvous.base import Choice, Way
    from moorage.rendezvous.choice import DescribedKernel

_FORMAT = 2


@dataclass(frozen=True)
class CachedListing:
    """An answer of earlier.

    Attributes:
        at: when it was given, in seconds since the epoch.
        types: what it was, each marked stale.
    """

    at: float
    types: tuple[KernelType, ...]


@dataclass(frozen=True)
class NamedPlace:
    """A place of which the name is known and nothing else: kernels are not launched there, nor anywhere else.

    Attributes:
        name: what it is called in messages.
    """

    name: str

    def ways(self, kernel: DescribedKernel, wanted: Choice) -> tuple[Way, ...]:  # noqa: ARG002 - a place's
        """Raise LaunchError."""
        raise self._unknown()

    def open(self) -> AbstractAsyncContextManager[Workspace]:
        """Raise LaunchError."""
        raise self._unknown()

    def _unknown(self) -> LaunchError:
        return LaunchError(
            f"nothing can be launched on {self.name}",
            why="It is an earlier answer of its provider that named it",
            do="Launch the kernel type by its name: then the provider is asked again",
        )


class Cache:
    """The folder of all answers."""

    def __init__(self, folder: Path | None = None) -> None:
        """Nothing is read or made yet.

        Args:
            folder: where; by default the user's cache folder.
        """
        self.folder = _folder() if folder is None else folder

    def path(self, provider: str) -> Path:
        """Return the file of one provider."""
        return self.folder / f"{provider}.json"

    def load(self, provider: str) -> CachedListing | None:
        """Return what a provider found last; None when nothing is known or can be made sense of."""
        try:
            content = json.loads(read_regular(self.path(provider)))
            if content["format"] != _FORMAT:
                return None
            types = tuple(_to_type(each, provider) for each in content["types"])
            return CachedListing(float(content["at"]), types)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None

    def save(self, provider: str, types: Sequence[KernelType], at: float) -> None:
        """Keep what a provider found. Where it cannot be written, nothing is kept.

        Args:
            provider: its name.
            types: its answer.
            at: when it was given, in seconds since the epoch.
        """
        content = {"format": _FORMAT, "at": at, "types": [_to_dict(each) for each in types]}
        with suppress(OSError, TypeError, ValueError):
            data = json.dumps(content).encode()
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{provider}.")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                Path(temporary).replace(self.path(provider))
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise


def _folder() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("moorage") / "discovery"


def _to_dict(kernel_type: KernelType) -> JsonObject:
    spec, lack = kernel_type.spec, kernel_type.lack
    return {
        "name": spec.name,
        "argv": list(spec.argv),
        "display_name": spec.display_name,
        "language": spec.language,
        "interrupt_mode": spec.interrupt_mode,
        "metadata": dict(spec.metadata),
        "resource_dir": None if spec.resource_dir is None else str(spec.resource_dir),
        "protocol_version": spec.protocol_version,
        "place": None if spec.place is None else spec.place.name,
        "where": kernel_type.where,
        "lack": None if lack is None else [lack.why, lack.do],
    }


def _to_type(found: JsonObject, provider: str) -> KernelType:
    words = found["argv"]
    texts = [found["name"], found["display_name"], found["language"], found["where"], *words]
    if not isinstance(words, list) or not all(isinstance(each, str) for each in texts):
        raise TypeError("not what was written here")
    resources, place = found["resource_dir"], found["place"]
    lack = found["lack"]
    spec = KernelSpec(
        name=found["name"],
        argv=tuple(words),
        display_name=found["display_name"],
        language=found["language"],
        interrupt_mode="message" if found["interrupt_mode"] == "message" else "signal",
        metadata=dict(found["metadata"]),
        resource_dir=None if resources is None else Path(resources),
        protocol_version=str(found["protocol_version"]),
        provider=provider,
        place=None if place is None else NamedPlace(str(place)),
    )
    lacking = None if lack is None else Lack(str(lack[0]), str(lack[1]))
    return KernelType(spec, where=found["where"], lack=lacking, stale=True)
