"""Whose a server of a JupyterHub is: the folder of its files, and the user of the system that it runs as."""
# ruff: noqa: E402 - users of the system are not there on Windows

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

assert sys.platform != "win32", "it has no users with homes"

import pwd

from moorage.errors import LaunchError, OutputError
from moorage.process.options import ProcessOptions

SHELL = "/bin/bash"
"""Shell of a user who has no account."""


@dataclass(frozen=True)
class HubUser:
    """A user of a hub.

    Args:
        name: as the hub has it.
        home: the folder of its files, which is the server's HOME.
        shell: for its terminals.
        account: the user of the system; empty for the one of the hub.
    """

    name: str
    home: Path
    shell: str = SHELL
    account: str = ""

    @property
    def process(self) -> ProcessOptions | None:
        """What its server runs as; None for what the hub does."""
        return ProcessOptions(user=self.account) if self.account else None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that tell a server whose it is."""
        told = {"USER": self.name, "HOME": str(self.home), "SHELL": self.shell}
        return {name: value for name, value in told.items() if value}


def account_of(name: str) -> HubUser:
    """Return the user of the system that has a name.

    Raises:
        LaunchError: there is none, or only root could start a server as that user.
    """
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise LaunchError(
            f"{name} has no account on this machine",
            do="Make one, or set c.MoorageSpawner.users_dir to a folder in which each user gets one",
        ) from None
    if found.pw_uid == os.geteuid():
        return HubUser(name, Path(found.pw_dir), found.pw_shell)
    if os.geteuid():
        raise LaunchError(
            f"no server can be started as {name}",
            why="This hub does not run as root",
            do="Run it as root, or set c.MoorageSpawner.users_dir",
        )
    return HubUser(name, Path(found.pw_dir), found.pw_shell, name)


def folder_user(name: str, users: Path) -> HubUser:
    """Return a user whose files are in a folder of its own, which is made where it is not.

    Args:
        name: as the hub has it.
        users: the folder with those of all users.

    Raises:
        OutputError: it cannot be made.
    """
    home = users / folder_name(name)
    try:
        home.mkdir(0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(f"the folder {home} cannot be made", why=why) from error
    return HubUser(name, home)


def folder_name(name: str) -> str:
    """Return the name of a user's folder: the user's, with what no name of a file may hold as in a URL."""
    quoted = quote(name, safe="@+ ")
    return quoted.replace(".", "%2E", 1) if quoted.startswith(".") else quoted
