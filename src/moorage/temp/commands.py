"""What a temporary server is: JupyterLab, Notebook, Jupyter Server, or any command with placeholders."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from moorage.errors import MissingExtra, UsageError
from moorage.plan.containers import HOST_NETWORK, NO_NETWORK, ContainerKind
from moorage.temp.interpreters import Interpreter, own_interpreter

INDEX = "index.ipynb"
PLACEHOLDERS = ("base_path", "socket", "port", "token")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_JUPYTER = (
    "--no-browser",
    "--ServerApp.sock={socket}",
    "--ServerApp.sock_mode=0600",
    "--ServerApp.base_url={base_path}/",
    # The proxy has looked at Host; a server on a Unix socket would take localhost alone.
    "--ServerApp.allow_remote_access=True",
)
_QUIET = "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"


@dataclass(frozen=True)
class ServerCommand:
    """How a server is started.

    Args:
        called: what visitors know it by.
        argv: program and arguments, with ``{base_path}``, ``{socket}``, ``{port}`` and ``{token}``. One of
            socket and port stands in it.
        landing: path below its URL that opens first.
        opens: path below its URL that opens a file, with ``{path}``; empty for a server that opens none.
        ready: path below its URL that is asked for to see whether it answers.
        jupyter: whether it takes a token, and is told things by Jupyter's variables.
        container: that it runs in; None for a process of this machine.
    """

    called: str
    argv: tuple[str, ...]
    landing: str = ""
    opens: str = ""
    ready: str = ""
    jupyter: bool = False
    container: ContainerKind | None = None

    @property
    def stripped(self) -> bool:
        """Whether the server cannot be told the path that it is served at."""
        return not (self.jupyter or self.uses("base_path"))

    def landing_in(self, content: Path | None, name: str, *, dashes: str = "--") -> str:
        """Return the path below a server's URL that opens first.

        Args:
            content: folder of what visitors get.
            name: of a file in it; empty for ``index.ipynb`` where there is one, or what the server shows.
            dashes: what stands before the names of settings in complaints; empty for those of a file.

        Raises:
            UsageError: there is no such file, or the server opens none.
        """
        if name and not self.opens:
            raise UsageError(f"{self.called} cannot be told what to open first", do=f"Leave {dashes}open out")
        if name and (content is None or ".." in Path(name).parts or not (content / name).exists()):
            raise UsageError(
                f"{dashes}open {name} cannot be opened", why=f"There is no such file in {dashes}content"
            )
        if not name and self.opens and content is not None and (content / INDEX).is_file():
            name = INDEX
        return self.opens.format(path=quote(name)) if name else self.landing

    def filled(self, **values: str) -> tuple[str, ...]:
        """Return program and arguments with all placeholders filled in."""
        return tuple(_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in self.argv)

    def uses(self, placeholder: str) -> bool:
        """Tell whether a placeholder stands in it."""
        return any(f"{{{placeholder}}}" in word for word in self.argv)


@dataclass(frozen=True)
class _Known:
    """A server that is known by name."""

    module: str
    shown: str
    program: str
    landing: str
    opens: str
    more: tuple[str, ...] = ()


KNOWN = {
    "lab": _Known("jupyterlab", "JupyterLab", "jupyter-lab", "lab", "lab/tree/{path}", (_QUIET,)),
    "notebook": _Known("notebook", "Notebook 7", "jupyter-notebook", "tree", "notebooks/{path}", (_QUIET,)),
    "server": _Known("jupyter_server", "Jupyter Server", "jupyter-server", "api", "api/contents/{path}"),
}
"""What ``--server`` names."""


def known_command(name: str, interpreter: Interpreter | None = None) -> ServerCommand:
    """Return the command of a server of an environment.

    Args:
        name: one of :data:`KNOWN`.
        interpreter: of the environment; None for the one of this process.

    Raises:
        MissingExtra: it is not installed there.
    """
    known = KNOWN[name]
    python = interpreter or own_interpreter()
    program = str(python.program)
    if known.module not in python.modules:
        raise MissingExtra(
            f"{known.shown} is not installed",
            why=f"{program} has no module {known.module}",
            do=f"Type: {shlex.quote(program)} -m pip install {known.module.replace('_', '-')}",
        )
    root = ("--allow-root",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    argv = (program, python.apart, "-m", known.module, *_JUPYTER, *known.more, *root)
    return ServerCommand(known.shown, argv, known.landing, known.opens, ready="api", jupyter=True)


def contained(name: str, line: str, kind: ContainerKind, *, dashes: str = "--") -> ServerCommand:
    """Return the command of a server of an image, whose programs are found by PATH.

    Args:
        name: one of :data:`KNOWN`; empty for the usual one.
        line: a command line in its place; empty for none.
        kind: of its containers.
        dashes: what stands before the names of settings in complaints; empty for those of a file.

    Raises:
        UsageError: the line cannot be, both are given, or there is no image.
    """
    if not kind.image:
        raise UsageError(f"{dashes}image is missing", why="A container is made of one")
    if line and name:
        raise UsageError(f"{dashes}command does not go with {dashes}server")
    if line:
        command = own_command(line, dashes=dashes)
        if command.uses("port") and kind.network in {NO_NETWORK, HOST_NETWORK}:
            network = "--docker-network" if dashes else "network"
            why = "It takes a network in which each container has an address of its own"
            raise UsageError(
                f"{dashes}command with {{port}} cannot be with {network} {kind.network}", why=why
            )
        return replace(command, container=kind)
    known = KNOWN[name or "lab"]
    argv = (known.program, *_JUPYTER, *known.more, "--allow-root")
    return ServerCommand(known.shown, argv, known.landing, known.opens, "api", jupyter=True, container=kind)


def own_command(text: str, *, dashes: str = "--") -> ServerCommand:
    """Return what a command line says.

    Args:
        text: words as in a shell, which none reads.
        dashes: what stands before the name of the setting in complaints; empty for that of a file.

    Raises:
        UsageError: it names no way to reach the server, or a placeholder that there is not.
    """
    try:
        argv = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{dashes}command cannot be read", why=str(error)) from None
    names = {name for word in argv for name in _PLACEHOLDER.findall(word)}
    if unknown := sorted(names - {*PLACEHOLDERS}):
        known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
        raise UsageError(
            f"{dashes}command has {{{unknown[0]}}}, which is no placeholder", do=f"There are {known}"
        )
    if not argv or ("socket" in names) == ("port" in names):
        raise UsageError(
            f"{dashes}command needs either {{socket}} or {{port}}",
            why="The server is to listen there, and nowhere else",
        )
    return ServerCommand(Path(argv[0]).name, argv)
