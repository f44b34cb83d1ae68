"""A parser for the command line whose complaints read like every other error of moorage."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import fields
from typing import NoReturn

from moorage.errors import UsageError


class Parser(argparse.ArgumentParser):
    """argparse that raises where it would print and exit."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError for what cannot be parsed."""
        if found := re.match(r"argument COMMAND: invalid choice: '(.*)' \(choose from (.*)\)", message):
            raise UsageError(f"there is no command {found[1]}", do=f"Known is {found[2]}")
        raise UsageError(message, do=f"Try {self.prog} --help")


def unknown_flag(word: str, verb: str | None) -> UsageError:
    """Return the error for an unknown flag, with near ones."""
    from difflib import get_close_matches

    from moorage.notebooks.planning.settings import RenderSettings

    known = ["--" + each.name.replace("_", "-") for each in fields(RenderSettings)]
    near = get_close_matches(word.partition("=")[0], known, n=2) if verb == "render" else []
    advice = (
        f"Did you mean {' or '.join(near)}?"
        if near
        else f"Try {' '.join(filter(None, ['moorage', verb]))} --help"
    )
    return UsageError(f"there is no flag {word}", do=advice)


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
