"""What a warden that tends a server is told to start, and how a fork of it does so.

Loaded by keepers by its path, without the package: standard library only, from Python 3.9 on.
"""

from __future__ import annotations

import errno
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Execute = Callable[[list[bytes], dict[bytes, bytes], int], NoReturn]
    """How a charge becomes its program: arguments, environment, and the descriptor of the report, which is
    closed when it has. An OSError tells what was refused."""

MOST = 1 << 24
"""Bytes that a payload may have, as a keeper's first message."""


class Program:
    """One program to be started.

    Attributes:
        argv: program and arguments.
        env: its whole environment.
        cwd: its directory.
        report: write end of the pipe that tells which step failed; it is closed when its own code runs.
    """

    __slots__ = ("argv", "cwd", "env", "report")

    def __init__(self, argv: list[bytes], env: dict[bytes, bytes], cwd: bytes, report: int) -> None:
        self.argv = argv
        self.env = env
        self.cwd = cwd
        self.report = report

    def become(self, execute: Execute) -> NoReturn:
        """In a fork: become it, or report which step failed."""
        stage = "chdir"
        try:
            os.chdir(self.cwd)
            stage = "exec"
            execute(self.argv, self.env, self.report)
        except OSError as error:
            os.write(self.report, f"{getattr(error, 'stage', stage)} {error.errno}".encode())
        except BaseException:  # noqa: BLE001 - boundary: a forked child must never return; NUL bytes end here
            os.write(self.report, f"{stage} {errno.EINVAL}".encode())
        finally:
            os._exit(127)


def described(spec: dict[str, Any], report: int) -> Program:
    """Return the program that a message describes.

    Args:
        spec: ``argv``, ``env``, ``cwd``.
        report: as :class:`Program` has it.
    """
    env = {raw(name): raw(value) for name, value in spec["env"].items()}
    return Program([raw(part) for part in spec["argv"]], env, raw(spec["cwd"]), report)


def raw(text: str) -> bytes:
    """Return the bytes that were meant: paths and variables need not be text."""
    return text.encode("utf-8", "surrogateescape")


def packed(spec: dict[str, Any]) -> int:
    """Return a memory file with ``argv``, ``env`` and ``cwd``; the caller closes it.

    Raises:
        OSError: no descriptors are left.
    """
    data = json.dumps({name: spec[name] for name in ("argv", "env", "cwd")}).encode()
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    file = os.memfd_create("program")
    try:
        written = os.write(file, data)
    except OSError:
        os.close(file)
        raise
    os.lseek(file, 0, os.SEEK_SET)
    if written < len(data):
        os.close(file)
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    return file


def unpacked(file: int, report: int) -> Program:
    """Return the program that a memory file tells of.

    Args:
        file: made by :func:`packed`; the caller closes it.
        report: as :class:`Program` has it.

    Raises:
        OSError, ValueError, KeyError, TypeError: it is none.
    """
    return described(json.loads(os.read(file, MOST)), report)
