"""What an option or an offer's table says of containers: an image, a user, a network, what is mounted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from moorage.errors import UsageError
from moorage.plan.containers import ContainerKind, Mount


@dataclass(frozen=True)
class AskedContainer:
    """What a table asks for; empty where it asks for nothing.

    Args:
        image: that containers are made of.
        user: of the server in it.
        network: of the engine.
        mounts: as they are written.
    """

    image: str = ""
    user: str = ""
    network: str = ""
    mounts: tuple[str, ...] = ()

    def kind(self, default: ContainerKind | None, base: Path, others: Sequence[str]) -> ContainerKind | None:
        """Return what containers of the offer have in common; None where servers run in none.

        Args:
            default: what the command line says; None for no containers.
            base: folder that relative paths belong to.
            others: keys of the table that say something of the environment of processes, or of sleep.

        Raises:
            UsageError: what is asked for does not go with where servers run, or a mount cannot be.
        """
        if default is None:
            asked = [name for name in ("image", "user", "network", "mounts") if getattr(self, name)]
            if asked:
                raise UsageError(f"{asked[0]} goes with --place docker")
            return None
        if others:
            why = (
                "Its network is the engine's: network" if others[0] == "egress" else "Its image is all it has"
            )
            raise UsageError(f"{others[0]} does not go with --place docker", why=why)
        mounts = tuple(mount_of(each, base, name="mounts") for each in self.mounts)
        return replace(
            default,
            image=self.image,
            user=self.user or default.user,
            network=self.network or default.network,
            mounts=(*default.mounts, *mounts),
        )


def mount_of(text: str, base: Path, *, name: str = "--mount") -> Mount:
    """Return what a text says that containers are to see.

    Args:
        text: ``PATH:THERE`` or ``PATH:THERE:rw``.
        base: folder that a relative path belongs to.
        name: of the setting, for complaints.

    Raises:
        UsageError: it says nothing that can be.
    """
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target.startswith("/") or mode not in {"", "ro", "rw"}:
        raise UsageError(f"{name} {text} cannot be", why="It is PATH:THERE or PATH:THERE:rw, THERE absolute")
    path = base / os.path.expanduser(source)  # noqa: PTH111 - leaves what cannot be expanded
    if not path.exists():
        raise UsageError(f"{name} {text} cannot be", why=f"There is no {path}")
    return Mount(os.path.abspath(path), target, mode == "rw")  # noqa: PTH100 - links stay as they are
