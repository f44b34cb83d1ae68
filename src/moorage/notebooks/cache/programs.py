"""What the programs read that a watched Python process starts, as far as their command says it.

A Python program is watched itself. A few others read nothing but the files that their command names. Of any
other it cannot be told, and a result that depends on it is not kept unless its inputs are declared.

Loaded by ``watch.py`` by its path, when the first program starts: standard library only, from Python 3.8 on.
"""
# ruff: noqa: PTH100, PTH112, PTH118, PTH119, PTH120, PTH207 - in a process that is not ours

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from moorage.notebooks.cache.watch import ReadWatch

    Keep = Callable[[], bool]

SHELLS = frozenset({"sh", "bash", "dash", "zsh"})
LISTERS = frozenset({"ls", "dir", "tree", "du"})
"""They read names, of the working directory when none is given."""
READERS = frozenset(
    {
        "[", "base64", "basename", "cat", "cksum", "cmp", "column", "comm", "cut", "date", "diff",
        "dirname", "echo", "expr", "false", "fc-list", "fc-match", "file", "fold", "getconf", "grep",
        "egrep", "fgrep", "head", "hexdump", "hostname", "id", "join", "ldconfig", "lscpu", "md5sum",
        "mkdir", "nl", "nproc", "nvidia-smi", "od", "paste", "printf", "pwd", "readlink", "realpath", "rev",
        "seq", "sha1sum", "sha256sum", "sleep", "sort", "strings", "tac", "tail", "test", "touch", "tr",
        "true", "uname", "uniq", "wc", "which", "whoami", "xxd", "zcat",
    }
)  # fmt: skip
"""They read what their command names, or the machine."""

LINKERS = frozenset({"cc", "gcc", "ld"})
"""``ctypes.util.find_library`` asks them where a library is; what they make of the project is not known."""

_PYTHON = re.compile(r"(python|pypy)[\d.]*$")
_DANGEROUS = re.compile(r"[$`~{}()\\!#]|<<|\n")
"""What has a shell put something else in its place. Quotes, pipes, lists and redirections are understood."""
_BETWEEN = frozenset({"|", "||", "&&", ";", "&", "|&"})
_INDIRECT = ("--files0-from", "--files-from")


def started(watched: ReadWatch, executable: Any, words: Any, directory: Any, environment: Any) -> None:
    """Note what a program that is about to start may read, or that this cannot be told.

    Args:
        watched: the :class:`~moorage.notebooks.cache.watch.ReadWatch`.
        executable: its file, or None for the first word.
        words: its command line, a list or one word.
        directory: where it starts, or None for here.
        environment: its variables, or None for those of this process.
    """
    single = isinstance(words, (str, bytes, os.PathLike))
    argv = [os.fsdecode(word) for word in ([words] if single else words or ())]
    if executable is not None and argv and os.path.basename(argv[0]) not in SHELLS:
        argv[0] = os.fsdecode(executable)
    here = os.path.abspath(os.fsdecode(directory) if directory is not None else os.curdir)
    reason = _judged(watched, argv, here, lambda: _watches(watched, environment), depth=0)
    if reason:
        watched.note("program", reason)


def _watches(watched: ReadWatch, environment: Any) -> bool:
    """Return whether a Python program with these variables is watched; it will be where that can be done."""
    if environment is None:
        return bool(watched.kept)
    if environment is os.environ:
        watched.show()
    elif type(environment) is dict and not isinstance(next(iter(environment), ""), bytes):
        before = environment.get("PYTHONPATH")
        if before is None or watched.folder not in before.split(os.pathsep):
            environment["PYTHONPATH"] = watched.folder + (os.pathsep + before if before else "")
    else:
        return False
    return True


def _judged(watched: ReadWatch, argv: list[str], here: str, keep: Keep, depth: int) -> str:
    """Return why it cannot be told what a command reads, or an empty string."""
    if not argv:
        return ""
    program = os.path.basename(argv[0])
    if program in SHELLS and len(argv) == 3 and argv[1] == "-c" and depth < 3:
        return _shell(watched, argv[2], here, keep, depth)
    if _PYTHON.match(program) or argv[0] == sys.executable:
        if _isolated(argv[1:]):
            return f"{program} {argv[1]}"
        return "" if keep() else f"{program} with variables of its own"
    if program in LINKERS and not any(_inside(watched, word, here) for word in argv[1:]):
        return ""
    place = shutil.which(argv[0], path=os.environ.get("PATH"))
    known = program in LISTERS or program in READERS
    return (
        _reads(watched, program, argv[1:], here) if known and place and not watched.wanted(place) else program
    )


def _reads(watched: ReadWatch, program: str, words: list[str], here: str) -> str:
    """Note what a program reads that is known to read what it is told."""
    if program in LISTERS:
        return _lists(watched, program, words, here)
    if any(word.startswith(_INDIRECT) for word in words):
        return program
    for word in words:
        for name in {word, word.rpartition("=")[2]}:
            path = watched.wanted(os.path.join(here, name))
            if path and os.path.isdir(path):
                watched.note("tree", path)
            elif path and (name[:1] != "-" or os.path.lexists(path)):
                watched.read(path)
    return ""


def _lists(watched: ReadWatch, program: str, words: list[str], here: str) -> str:
    options = "".join(word for word in words if word[:1] == "-")
    if program in {"ls", "dir"} and set(options) & set("glnostcu"):
        return f"{program} {options}"  # it shows times and sizes
    for word in [word for word in words if word[:1] != "-"] or [here]:
        path = watched.folder_wanted(os.path.join(here, word))
        if path and not os.path.isdir(path):
            watched.read(path)
        elif path:
            watched.note("listed" if program in {"ls", "dir"} and "R" not in options else "tree", path)
    return ""


def _inside(watched: ReadWatch, word: str, here: str) -> bool:
    """Return whether a compiler's argument is of the project; most options name no file."""
    if word[:1] == "-":
        return word[:2] in {"-I", "-L"} and bool(watched.folder_wanted(os.path.join(here, word[2:])))
    return bool(watched.wanted(os.path.join(here, word)))


def _isolated(words: list[str]) -> bool:
    """Return whether Python is told not to look at its environment or for a ``sitecustomize``."""
    takes = False
    for word in words:
        if takes:
            takes = False
            continue
        if word[:1] != "-" or word == "-":
            return False
        for at, letter in enumerate(word[1:], 1):
            if letter in "IES":
                return True
            if letter in "cm":
                return False
            if letter in "WX":
                takes = at == len(word) - 1
                break
    return False


def _shell(watched: ReadWatch, text: str, here: str, keep: Keep, depth: int) -> str:
    """Judge each command of a line for a shell, where the line is plain enough to be read."""
    if _DANGEROUS.search(text):
        return f"`{text[:80]}`"
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return f"`{text[:80]}`"
    command: list[str] = []
    for word in [*words, ";"]:
        if word in _BETWEEN:
            reason = _simple(watched, command, here, keep, depth)
            if reason:
                return reason
            command = []
        else:
            command.append(word)
    return ""


def _simple(watched: ReadWatch, command: list[str], here: str, keep: Keep, depth: int) -> str:
    argv: list[str] = []
    words = iter(command)
    for word in words:
        if set(word) <= set("<>&"):
            target = os.path.normpath(os.path.join(here, next(words, "")))
            if word == "<":
                watched.read(target)
            elif word == ">" and watched.wanted(target):
                watched.note("made", target)
        elif glob.has_magic(word):
            folder = os.path.normpath(os.path.join(here, os.path.dirname(word)))
            if glob.has_magic(folder):
                return f"`{word}`"
            if watched.folder_wanted(folder):
                watched.note("listed", folder)
            argv += sorted(glob.glob(os.path.join(here, word))) or [word]
        else:
            argv.append(word)
    if argv and ("=" in argv[0] or argv[0] in {"cd", "source", ".", "eval", "exec", "env"}):
        return f"`{' '.join(argv)[:80]}`"
    return _judged(watched, argv, here, keep, depth + 1)
