"""Globs of paths, in time that no pattern can drive up: names times pattern, never more.

A regular expression made of a glob takes exponential time for ``*a*a*a*a*b``. Here a pattern is an automaton
whose states are the bits of one number, and every character of a name is looked at once.
"""

from __future__ import annotations

import functools
import re

from msgspec import Struct, field

_TOKENS = re.compile(r"(?:\*\*/)+|\*\*(?=\*\*)|\*{2,}|\*|\?|\[!?\]?[^]]*\]|.", re.DOTALL)
_ONE = re.compile("[^/]")
_WILD = re.compile(r"[*?[]")


_Token = re.Pattern[str] | str | None


class _Automaton(Struct, frozen=True):
    """A glob; bit ``n`` of a state stands for "before token ``n``".

    Attributes:
        tokens: what each takes once: a character, a class, or None where it takes none.
        skipped: tokens that may take nothing.
        doors: tokens that may be skipped together with the one behind: the beginnings of ``**/``.
        crossing: tokens that take any character again and again.
        inside: tokens that take any character but a slash again and again.
        folders: tokens that are left behind a slash: the rest of ``**/``.
    """

    tokens: tuple[_Token, ...]
    skipped: int
    doors: int
    crossing: int
    inside: int
    folders: int
    _taking: dict[str, int] = field(default_factory=dict)

    def matches(self, name: str) -> bool:
        """Return whether it takes a name, or the path of a folder that the name lies in."""
        end = 1 << len(self.tokens)
        state = self._rested(1)
        for character in name:
            if character == "/" and state & end:
                return True
            state = self._rested(self._after(state, character))
            if not state:
                return False
        return bool(state & end)

    def _after(self, state: int, character: str) -> int:
        taken = (state & self._tokens_taking(character)) << 1
        if character == "/":
            return taken | state & self.crossing | (state & self.folders) << 1
        return taken | state & (self.crossing | self.inside)

    def _tokens_taking(self, character: str) -> int:
        """Return the tokens that take this character once; worked out once for each character."""
        if (known := self._taking.get(character)) is None:
            known = 0
            for place, token in enumerate(self.tokens):
                if isinstance(token, str):
                    known |= (token == character) << place
                elif token is not None:
                    known |= (token.match(character) is not None) << place
            self._taking[character] = known
        return known

    def _rested(self, state: int) -> int:
        """Add the states that are reached without a character."""
        while (more := state | (state & self.skipped) << 1 | (state & self.doors) << 2) != state:
            state = more
        return state


@functools.lru_cache(maxsize=512)
def _automaton(pattern: str) -> _Automaton:
    tokens: list[_Token] = []
    skipped = doors = crossing = inside = folders = 0
    for text in _TOKENS.findall(pattern):
        bit = 1 << len(tokens)
        if text.endswith("*/"):
            tokens += [None, None]
            skipped |= bit
            doors |= bit
            crossing |= bit << 1
            folders |= bit << 1
        elif text.startswith("*"):
            tokens.append(None)
            skipped |= bit
            inside |= bit if text == "*" else 0
            crossing |= bit if text != "*" else 0
        elif text == "?":
            tokens.append(_ONE)
        elif len(text) > 2 and text[0] == "[":
            tokens += _character_class(text)
        else:
            tokens.append(text)
    return _Automaton(tuple(tokens), skipped, doors, crossing, inside, folders)


def _character_class(token: str) -> list[_Token]:
    body = token[1:-1]
    negated = body.startswith("!") and len(body) > 1
    escaped = "".join(each if each == "-" else re.escape(each) for each in body[negated:])
    try:
        return [re.compile(f"[{'^' if negated else ''}{escaped}]", re.DOTALL)]
    except re.error:  # a range that runs backwards means itself
        return [*token]


def matches(name: str, pattern: str) -> bool:
    """Say whether a path matches a pattern, or lies in a folder that does.

    A pattern without wildcards or with a slash counts from the root; ``*.py``, with a wildcard and without a
    slash, counts in every folder.

    Args:
        name: path relative to the pattern's root, with forward slashes.
        pattern: a path or a glob; ``*`` and ``?`` stay within one folder, ``**`` does not.
    """
    pattern = pattern.removeprefix("./").rstrip("/")
    if "/" not in pattern and _WILD.search(pattern):
        pattern = "**/" + pattern
    return _automaton(pattern).matches(name)
