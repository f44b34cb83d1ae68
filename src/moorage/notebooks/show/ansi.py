"""Foreign text where something interprets it: a terminal, the runner of a CI system, a page.

What a notebook prints, and what files, kernels and configurations are called, is foreign text. Of all that a
terminal understands only colours and weights (SGR, ECMA-48 §8.3.117) are harmless; the rest moves the cursor,
sets titles or writes the clipboard, and some characters of Unicode turn the order of what follows. A runner
takes lines of a log for commands. :func:`shown` makes all of this inert, and every stream of moorage writes
through it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Patterns are compiled when first used, which for most runs is never: `re` keeps them from then on.
_SEQUENCE: Final = (
    r"(?s)\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\Z)"  # OSC, DCS, SOS, PM, APC up to their terminator
    r"|\x1b[ -/]*[0-~]?"  # two-byte sequences, and a lone escape
)
_SGR: Final = r"\x1b\[([0-9;:]*)m"
_SEPARATOR: Final = "[;:]"
_MOST: Final = 32
# Among them what reorders the rest of a line, the embeddings, overrides and isolates of
# https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters, and Unicode's own line breaks.
_CONTROL: Final = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
_RUNNERS: Final = ("GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")
_COMMAND: Final = "(?m)^((?:[^\\S\n]|[\u180e\u200b\ufeff])*)(?=::)"
_MARK: Final = r"#(?=#\w*\[)"
_NAMES: Final = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_CUBE: Final = (0, 95, 135, 175, 215, 255)


def strip(text: str) -> str:
    """Return ``text`` without escape sequences and control characters; newlines and tabs stay."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return re.sub(_CONTROL, "", re.sub(_SEQUENCE, "", text.replace("\r\n", "\n")))


def only_colours(text: str) -> str:
    """Return ``text`` with colours and weights kept and every other control taken out.

    A reset is added where colours were left on, so that what follows on the terminal is not painted.
    """
    parts: list[str] = []
    last, coloured = 0, False
    for match in re.finditer(_SGR, text):
        parts += (strip(text[last : match.start()]), match.group())
        last, coloured = match.end(), match.group(1) not in ("", "0", "00")
    parts.append(strip(text[last:]))
    return "".join(parts) + ("\x1b[0m" if coloured else "")


def one_line(text: str) -> str:
    r"""Return ``text`` as :func:`strip` does and in one line: ``\n`` for a line break, a blank for a tab."""
    return strip(text).replace("\n", "\\n").replace("\t", " ")


def on_runner(environ: Mapping[str, str]) -> bool:
    """Say whether what is printed is read by the runner of a CI system that takes lines for commands."""
    return any(environ.get(name) for name in _RUNNERS)


def inert(text: str) -> str:
    """Return ``text`` so that no runner finds a command in it; a backslash shows where one was.

    GitHub's takes lines that begin with ``::`` after blanks, and ``##[`` anywhere in a line; Azure's
    ``##vso[``, TeamCity's ``##teamcity[``. See ``TryParse`` and ``TryParseV2`` in
    https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
    """
    return re.sub(_MARK, r"#\\", re.sub(_COMMAND, r"\1\\", text))


def shown(text: str, *, colour: bool = False, runner: bool = False) -> str:
    """Return ``text`` as a stream may get it: the one function before all that interprets what is written.

    Args:
        text: whole lines, in which anything may stand.
        colour: whether colours and weights are kept.
        runner: whether the runner of a CI system reads the stream.
    """
    harmless = only_colours(text) if colour else strip(text)
    return inert(harmless) if runner else harmless


def to_html(text: str) -> str:
    """Return ``text`` as HTML: everything escaped, colours as ``<span class="a-red a-bold">``.

    The sixteen classes are the page's to paint; 256 and true colours go to the nearest of them, because only
    the page knows which tones can be read on its background.
    """
    parts: list[str] = []
    style = _Style()
    last = 0
    for match in re.finditer(_SGR, text):
        parts.append(style.wrap(strip(text[last : match.start()])))
        style.change(match.group(1))
        last = match.end()
    parts.append(style.wrap(strip(text[last:])))
    return "".join(parts)


class _Style:
    """The colour and weight in force while a text is read."""

    def __init__(self) -> None:
        self._colour = ""
        self._bold = False

    def wrap(self, text: str) -> str:
        from html import escape

        escaped = escape(text)
        names = ([f"a-{self._colour}"] if self._colour else []) + (["a-bold"] if self._bold else [])
        return f'<span class="{" ".join(names)}">{escaped}</span>' if names and escaped else escaped

    def change(self, parameters: str) -> None:
        # No code has more than three digits, and no sequence that means something more than these.
        codes = [
            int(code or 0) if len(code) < 4 else -1
            for code in re.split(_SEPARATOR, parameters, maxsplit=_MOST)[:_MOST]
        ]
        while codes:
            code = codes.pop(0)
            if code == 0:
                self._colour, self._bold = "", False
            elif code in (1, 22):
                self._bold = code == 1
            elif code == 39:
                self._colour = ""
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self._colour = _NAMES[code % 10]
            elif code in (38, 48):
                colour = _extended(codes)
                self._colour = colour if code == 38 else self._colour


def _extended(codes: list[int]) -> str:
    """Take an extended colour's parameters off ``codes`` and name the nearest of the eight."""
    kind = codes.pop(0) if codes else 0
    if kind == 5 and codes:
        number = codes.pop(0)
        if number < 16:
            return _NAMES[number % 8]
        if number >= 232:
            return ""
        number -= 16
        return _nearest(_CUBE[number // 36 % 6], _CUBE[number // 6 % 6], _CUBE[number % 6])
    if kind == 2 and len(codes) >= 3:
        rgb = codes[:3]
        del codes[:3]
        return _nearest(*rgb)
    codes.clear()
    return ""


def _nearest(red: int, green: int, blue: int) -> str:
    """Name the hue of a colour; greys have none."""
    high, low = max(red, green, blue), min(red, green, blue)
    if high - low < 48:
        return ""
    middle = (high + low) / 2
    return _NAMES[(red > middle) + 2 * (green > middle) + 4 * (blue > middle)]
