"""A parser for the command line whose complaints read like every other error of moorage."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from moorage.errors import UsageError

_KINDS = {"int": "a whole number", "float": "a number"}
_MISSING = re.compile(r"the following arguments are required: (?P<names>.*)")
_ABOUT = re.compile(r"argument (?P<name>[^:]+): (?P<said>.*)", re.DOTALL)
_CHOICE = re.compile(
    r"invalid choice: (?P<quote>['\"]?)(?P<word>.*?)(?P=quote)(?:, maybe you meant .*\?)?"
    r" \(choose from (?P<known>.*)\)",
    re.DOTALL,
)
_TYPE = re.compile(r"invalid (?P<kind>\w+) value: (?P<quote>['\"]?)(?P<word>.*)(?P=quote)", re.DOTALL)
_VALUE = re.compile(r"ignored explicit argument (?P<quote>['\"]?)(?P<word>.*)(?P=quote)", re.DOTALL)
_EXCLUDES = re.compile(r"not allowed with argument (?P<other>.*)")


_EMPTY = "is empty"


def filled(text: str) -> str:
    """Return the value of an argument that names something; to be its ``type``.

    Raises:
        argparse.ArgumentTypeError: it is empty, as ``"$VARIABLE"`` of a variable that is not set.
    """
    if not text:
        raise argparse.ArgumentTypeError(_EMPTY)
    return text


class Parser(argparse.ArgumentParser):
    """argparse that raises where it would print and exit, in words of moorage's own."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._below: Any = None

    def add_subparsers(self, **options: Any) -> Any:
        """Add commands, each with a parser of its own."""
        self._below = super().add_subparsers(**options)
        return self._below

    def chosen(self, *words: str | None) -> Parser:
        """Return the parser of a command, or this one.

        Args:
            words: the command and its action, where there are any.
        """
        parser = self
        for word in words:
            known = {} if parser._below is None else parser._below.choices
            parser = known.get(word, parser)
        return parser

    def error(self, message: str) -> NoReturn:
        """Raise UsageError for what cannot be parsed."""
        if missing := _MISSING.fullmatch(message):
            names = missing["names"]
            about = next((each.help for each in self._actions if each.metavar == names and each.help), "")
            raise self._complaint(f"{self.prog} needs {names}", f"{names}: {about}" if about else "")
        if found := _ABOUT.fullmatch(message):
            raise self._about(found["name"].rpartition("/")[2], found["said"])
        raise self._complaint(message)

    def unknown(self, word: str) -> UsageError:
        """Return the complaint about a word that means nothing to this command, with flags like it."""
        from difflib import get_close_matches

        if not word.startswith("-"):
            return self._complaint(f"{self.prog} does not take {word}")
        known = [flag for each in self._actions for flag in each.option_strings if flag.startswith("--")]
        near = get_close_matches(word.partition("=")[0], known, n=2)
        return self._complaint(f"there is no flag {word}", do=_question(near))

    def _about(self, name: str, said: str) -> UsageError:
        """Return the complaint about one argument."""
        if found := _CHOICE.fullmatch(said):
            return self._choice(name, found["word"], re.findall(r"[\w-]+", found["known"]))
        if found := _TYPE.fullmatch(said):
            why = f"It must be {_KINDS.get(found['kind'], found['kind'])}"
            return self._complaint(f"{name} {found['word']} cannot be", why)
        if found := _VALUE.fullmatch(said):
            return self._complaint(f"{name} takes no value", f"It was given {found['word']}")
        if said.startswith("expected"):
            action = next((each for each in self._actions if name in each.option_strings), None)
            value = action.metavar if action is not None and isinstance(action.metavar, str) else "a value"
            do = f"One that begins with - is written {name}=-..."
            return self._complaint(f"{name} needs {value}", do=do)
        if said == _EMPTY:
            return self._complaint(f"{name} is empty", "A variable of the shell may be unset")
        other = _EXCLUDES.fullmatch(said)
        return self._complaint(f"{name} does not go with {other['other']}" if other else f"{name}: {said}")

    def _choice(self, name: str, word: str, known: Sequence[str]) -> UsageError:
        """Return the complaint about a word that is none of those there are."""
        from difflib import get_close_matches

        if name not in {"COMMAND", "ACTION"}:
            return self._complaint(f"{name} {word} cannot be", f"It must be {' or '.join(known)}")
        commands = f"{self.prog} ".partition(" ")[2]
        near = [f"{self.prog} {each}" for each in get_close_matches(word, known, n=2)]
        do = _question(near) or f"Known are {', '.join(known)}"
        return self._complaint(f"there is no command {commands}{word}", do=do)

    def _complaint(self, what: str, why: str = "", do: str = "") -> UsageError:
        return UsageError(what, why=why, do=do or f"Try {self.prog} --help")


def _question(near: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(near)}?" if near else ""


def glued(words: Sequence[str]) -> list[str]:
    """Write ``--kernel-arg --x`` as ``--kernel-arg=--x``: argparse takes no value that looks like a flag.

    Nor does it take code that does, as in ``run python3 -c -x``.
    """
    result: list[str] = []
    for word in words:
        if result and result[-1] == "--kernel-arg":
            result[-1] += f"={word}"
        elif word and words[0] == "run" and result[-1:] == ["-c"]:
            result[-1] += word
        else:
            result.append(word)
    return result
