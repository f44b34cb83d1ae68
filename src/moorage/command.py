"""What a command starts: its program, or the module behind a Python interpreter, and nothing else.

``docker run IMAGE python3 -m ipykernel_launcher`` and ``ssh box python3 -m ipykernel_launcher`` start docker
and ssh: of the kernel at their far end nothing is known here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

_INTERPRETER = re.compile(r"(?:python|pypy)w?[\d.]*t?")
# Python's flags: those that take no further word, and those that take the rest of the word or the next one.
# https://docs.python.org/3/using/cmdline.html
_FLAGS = re.compile(r"-[bBdEhiIOPqRsSuvVx]*")
_VALUED = re.compile(r"-[bBdEhiIOPqRsSuvVx]*[WX](?P<value>.*)")
_MODULE = re.compile(r"-[bBdEhiIOPqRsSuvVx]*m(?P<module>.*)")


def program(argv: Sequence[str]) -> str:
    """Return the name of the program, without folder and ``.exe``.

    Behind env(1) it is the one that this starts, behind node the script. Empty for an empty command.
    """
    words = _behind_env(argv)
    names = [PurePath(word).name.removesuffix(".exe") for word in words[:2]]
    if names[:1] == ["node"] and names[1:] and names[1][:1] not in {"", "-"}:
        return names[1]
    return names[0] if names else ""


def python_module(argv: Sequence[str]) -> tuple[str, Sequence[str]] | None:
    """Return the module that a command has a Python interpreter of this machine run, and its arguments.

    Args:
        argv: a command; ``python -m MODULE ...``, also with flags before ``-m`` and behind env(1). The script
            ``ipykernel_launcher.py`` is the module of that name.

    Returns:
        None for every other command.
    """
    words = _behind_env(argv)
    if not words or not _INTERPRETER.fullmatch(program(words[:1])):
        return None
    at = 1
    while at < len(words):
        word = words[at]
        if (found := _MODULE.fullmatch(word)) is not None:
            rest = [*([found["module"]] if found["module"] else []), *words[at + 1 :]]
            return (rest[0], rest[1:]) if rest else None
        if (found := _VALUED.fullmatch(word)) is not None:
            at += 1 if found["value"] else 2
        elif _FLAGS.fullmatch(word) and word != "-":
            at += 1
        else:
            name = PurePath(word).name
            return ("ipykernel_launcher", words[at + 1 :]) if name == "ipykernel_launcher.py" else None
    return None


def _behind_env(argv: Sequence[str]) -> Sequence[str]:
    """Return what env(1) starts, where it only sets variables; else the command as it is."""
    if not argv or PurePath(argv[0]).name != "env":
        return argv
    rest = list(argv[1:])
    while rest and re.match(r"[A-Za-z_]\w*=", rest[0]):
        rest.pop(0)
    return rest if rest and not rest[0].startswith("-") else argv
