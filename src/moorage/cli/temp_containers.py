"""What the options of ``moorage temp`` say of containers."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from moorage.directory import working_directory
from moorage.errors import UsageError
from moorage.places.docker import engine_socket
from moorage.plan.containers import NO_NETWORK, ContainerKind
from moorage.temp.container_kinds import mount_of

_FOR_CONTAINERS = ("image", "docker_socket", "docker_network", "user", "mount")
_NOT_WITH = {
    "no_walls": "A container is not taken away from around a server",
    "i_accept_no_isolation": "Containers isolate visitors",
    "readable": "Containers see what their image has; --mount shows them more",
    "sleep": "A container has its kernels in it",
    "egress": "Containers have a network of the engine, or none: --docker-network",
    "with": "Packages are in the image",
    "requirements": "Packages are in the image",
}


def check_containers(options: argparse.Namespace) -> None:
    """Refuse options that do not go with where servers run.

    Raises:
        UsageError: there is one.
    """
    inside = options.place == "docker"
    for name in _NOT_WITH if inside else _FOR_CONTAINERS:
        if getattr(options, name):
            dashed = f"--{name.replace('_', '-')}"
            if inside:
                raise UsageError(f"{dashed} does not go with --place docker", why=_NOT_WITH[name])
            raise UsageError(f"{dashed} goes with --place docker")


def engine_of(options: argparse.Namespace) -> Path | None:
    """Return the socket of the engine; None where servers do not run in containers.

    Raises:
        UsageError: it cannot be.
    """
    return engine_socket(options.docker_socket, os.environ) if options.place == "docker" else None


def kind_of(options: argparse.Namespace) -> ContainerKind | None:
    """Return what containers have in common, without an image where none is named; None for no containers.

    Raises:
        UsageError: a mount cannot be.
    """
    if options.place != "docker":
        return None
    mounts = tuple(mount_of(text, working_directory()) for text in options.mount)
    network = options.docker_network or NO_NETWORK
    return ContainerKind(options.image or "", options.user or "", mounts, network)
