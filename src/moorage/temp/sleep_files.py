"""What is written down of a server that may sleep: how it is started again, what its page is told meanwhile.

Both files are in the server's private directory (0600), for the service that comes after this one.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import OutputError
from moorage.temp.identity import write_private
from moorage.temp.processes import ServerStart

START, ANSWERS = "start.json", "answers.json"


class StartWords(msgspec.Struct, frozen=True):
    """Program and arguments, working directory, environment."""

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]


def write_start(directory: Path, start: ServerStart) -> None:
    """Write down how a server is started.

    Args:
        directory: the server's private one.
        start: that it was started with.

    Raises:
        OutputError: it cannot be written.
    """
    words = StartWords(start.argv, str(start.cwd), dict(start.env))
    _write(directory / START, msgspec.json.encode(words))


def read_start(directory: Path) -> ServerStart:
    """Return how a server is started again.

    Raises:
        OutputError: it is not written there any more.
    """
    try:
        words = msgspec.json.decode((directory / START).read_bytes(), type=StartWords)
    except (OSError, msgspec.MsgspecError) as error:
        raise OutputError(f"{directory / START} cannot be read", why=str(error)) from error
    return ServerStart(words.argv, Path(words.cwd), words.env, sleeps=True)


def write_answers(directory: Path, answers: dict[str, str]) -> None:
    """Write down what a page is told while its server is asleep.

    Args:
        directory: the server's private one.
        answers: JSON by the path below the server's URL.

    Raises:
        OutputError: it cannot be written.
    """
    _write(directory / ANSWERS, msgspec.json.encode(answers))


def read_answers(directory: Path) -> dict[str, str]:
    """Return what a page is told; nothing where nothing is written."""
    try:
        return msgspec.json.decode((directory / ANSWERS).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}


def _write(path: Path, data: bytes) -> None:
    unfinished = path.with_suffix(".new")
    try:
        unfinished.unlink(missing_ok=True)
        write_private(unfinished, data)
        unfinished.rename(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written", why=error.strerror or str(error)) from error
