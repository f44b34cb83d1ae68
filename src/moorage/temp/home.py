"""The private directory of one visitor's server: a copy of the content, a HOME, a token, an environment."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from moorage.errors import OutputError
from moorage.tasks import in_thread, reaped
from moorage.temp.identity import write_private

NOTICE = Path(__file__).with_name("notice")
"""A folder of JUPYTER_PATH: an extension of JupyterLab and Notebook that needs no build."""
_INHERITED = re.compile(
    r"PATH|LANG|LC_\w+|TZ|TMPDIR|TERM|SHELL|USER|LOGNAME|VIRTUAL_ENV|CONDA_\w+|PYENV_\w+|LD_LIBRARY_PATH"
    r"|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|https?_proxy|no_proxy|JUPYTER_PATH|OMP_NUM_THREADS|MPLBACKEND"
)
"""What a visitor's server gets of the service's environment: no secret of its operator is among that."""
_IPYTHON = "c = get_config()  # noqa\nc.HistoryManager.enabled = False\n"
_LAB = '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}\n'
"""JupyterLab asks each new user whether it may show news; a temporary one has no use for that."""
_SERVER = (
    'c = get_config()  # noqa\nc.MoorageProvisioner.rendezvous = "ipc"\n'
    'c.LabApp.extension_manager = "readonly"\n'
)
"""Visitors share one environment, which none of them is to change for the others; and the manager that could
would cost each server 6 MB, for certificates of PyPI."""
_KEPT = (
    'c.ServerApp.kernel_manager_class = "moorage.jupyter.kernels.KeptKernels"\n'
    "c.KeptKernels.warden = {warden!r}\nc.KeptKernels.records = {kernels!r}\n"
    "c.SessionManager.database_filepath = {kernels!r} + '/sessions'\n"
)
"""Kernels and sessions of a server that may sleep are found by the one that is started in its place."""


@dataclass(frozen=True)
class Home:
    """One private directory.

    Args:
        path: of the directory (0700).
        token: that its server asks for.
    """

    path: Path
    token: str = field(repr=False)

    @property
    def work(self) -> Path:
        """Folder with the visitor's files."""
        return self.path / "work"

    @property
    def socket(self) -> Path:
        """Unix socket on which the server listens."""
        return self.path / "s"

    @property
    def warden(self) -> Path:
        """Socket of the warden of a server that may sleep behind walls, as they show it."""
        return self.path / "w"

    @property
    def kernels(self) -> Path:
        """Folder in which a server that may sleep writes down how its kernels are found."""
        return self.path / "kernels"

    @property
    def token_file(self) -> Path:
        """File (0600) with the token."""
        return self.path / "token"

    def environment(
        self, base: Mapping[str, str], more: Mapping[str, str], *, jupyter: bool
    ) -> dict[str, str]:
        """Return the environment of the server.

        Args:
            base: the environment of this process.
            more: variables to add.
            jupyter: whether the server and its kernels are Jupyter's.
        """
        env = {name: value for name, value in base.items() if _INHERITED.fullmatch(name)}
        env |= {"HOME": str(self.path / "home"), "PYTHONUNBUFFERED": "1"}
        if jupyter:
            env |= {"JUPYTER_TOKEN_FILE": str(self.token_file), "JUPYTER_DEFAULT_PROVISIONER_NAME": "moorage"}
        env |= more
        if jupyter:
            env["JUPYTER_PATH"] = os.pathsep.join([str(NOTICE), *filter(None, [env.get("JUPYTER_PATH")])])
        return env


async def make_home(path: Path, content: Path | None, warden: Path | None = None) -> Home:
    """Make a private directory with a copy of the content.

    Args:
        path: of the directory, which must not be there.
        content: folder to copy; None for none.
        warden: socket of the warden that keeps kernels while the server sleeps; None where it never does.

    Raises:
        OutputError: it cannot be made.

    Cancelling waits until the file that is being copied is, and leaves what has been made.
    """
    token = secrets.token_urlsafe(32)
    stop = threading.Event()
    more = "" if warden is None else _KEPT.format(warden=str(warden), kernels=str(Home(path, "").kernels))
    making = in_thread(lambda: _make(path, content, token, stop, more), name="make a visitor's directory")
    try:
        await asyncio.wait([making])
    except asyncio.CancelledError:
        stop.set()
        await reaped(making)  # a server that is ended as it starts is cancelled again when the service ends
        raise
    try:
        making.result()
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(f"the directory {path} cannot be made", why=why, do="Make room there") from error
    return Home(path, token)


def read_home(path: Path) -> Home:
    """Return a private directory that is there.

    Raises:
        OSError: it is not.
    """
    return Home(path, (path / "token").read_text())


def _make(path: Path, content: Path | None, token: str, stop: threading.Event, more: str) -> None:
    path.mkdir(0o700)
    write_private(path / "token", token.encode())
    home = path / "home"
    for name, text in (
        (".ipython/profile_default/ipython_config.py", _IPYTHON),
        (".jupyter/jupyter_server_config.py", _SERVER + more),
        (".jupyter/labconfig/page_config.json", _LAB),
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    (path / "work").mkdir()
    if content is not None:
        copy_tree(content, path / "work", stop)


def copy_tree(source: Path, into: Path, stop: threading.Event) -> None:
    """Copy what is in a folder: folders, regular files and links as they are; nothing else.

    Args:
        source: the folder.
        into: an existing folder.
        stop: set to have it end after the file at hand.

    Raises:
        OSError: something cannot be read or written.
    """
    stack = [(source, into)]
    while stack:
        folder, target = stack.pop()
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if stop.is_set():
                return
            there = target / entry.name
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                there.mkdir()
                there.chmod(stat.S_IMODE(mode) | 0o700)
                stack.append((Path(entry.path), there))
            elif stat.S_ISLNK(mode):
                there.symlink_to(os.readlink(entry.path))  # noqa: PTH115 - as it is written
            elif stat.S_ISREG(mode):
                shutil.copyfile(entry.path, there)
                there.chmod(stat.S_IMODE(mode) & 0o777 | 0o600)
