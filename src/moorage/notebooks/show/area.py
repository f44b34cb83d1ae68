"""The lines at the bottom of a terminal that change while results scroll above them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_HIDE: Final = "\x1b[?25l"
_SHOW: Final = "\x1b[?25h"
"""DECTCEM: the cursor."""
_REST_OF_LINE: Final = "\x1b[K"
"""EL of ECMA-48: everything from the cursor to the end of the line."""
_REST_OF_SCREEN: Final = "\x1b[J"
"""ED: everything from the cursor to the end of the screen. Where that is the whole screen, tmux moves what is
cleared into its history: so it is sent behind the last line, never before the first one."""


class Area:
    """Some lines, drawn over where they stand.

    The cursor stays at the beginning of the last of them: there the ``^C`` that a terminal shows breaks no
    line. A terminal that was made narrower has broken them itself; how many rows they take then follows from
    their widths.

    Args:
        console: measures and colours; its file is the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._file: IO[str] = console.file
        self._lines: tuple[Text, ...] = ()
        self._drawn: list[int] = []
        self._open = False

    def open(self) -> None:
        """Hide the cursor."""
        self._open = True
        self._write(_HIDE)

    def close(self) -> None:
        """Take the lines away and show the cursor again. A second call does nothing."""
        if self._open:
            self._open = False
            self._lines = ()
            self._write(self._to_top() + self._emptied() + _SHOW)

    def draw(self, lines: Sequence[Text], above: Sequence[Text] = ()) -> None:
        """Draw the lines anew.

        Args:
            lines: none wider than the terminal.
            above: text that scrolls above them from now on.
        """
        self._lines = tuple(lines)
        self.print(*above)

    def print(self, *texts: Text) -> None:
        """Print above the lines, which stay; they are not broken, the terminal does that."""
        top = self._to_top()
        lines = self._lines if self._open else ()
        rendered = [self._rendered(text, crop=False) for text in texts]
        rendered += [self._rendered(line, crop=True) for line in lines]
        drawn = "".join(rendered).replace("\n", _REST_OF_LINE + "\n")
        if lines:
            drawn = drawn.removesuffix("\n") + _REST_OF_SCREEN + "\r"
        elif texts:
            drawn += _REST_OF_SCREEN
        elif top:
            drawn = self._emptied()
        self._drawn = [line.cell_len for line in lines]
        self._write(top + drawn)

    def _rows(self) -> list[int]:
        """Return how many rows of the screen each of the drawn lines takes now."""
        width = max(self._console.width, 1)
        return [max(1, -(-cells // width)) for cells in self._drawn]

    def _to_top(self) -> str:
        """Return what moves the cursor to the first of the drawn lines."""
        up = sum(self._rows()[:-1])
        return "\r" + (f"\x1b[{up}A" if up else "") if self._drawn else ""

    def _emptied(self) -> str:
        """Return what empties the rows of the drawn lines and comes back to the first; forget them."""
        below = sum(self._rows()) - 1
        self._drawn = []
        if below < 0:
            return ""
        return _REST_OF_LINE + ("\n" + _REST_OF_LINE) * below + "\r" + (f"\x1b[{below}A" if below else "")

    def _rendered(self, text: Text, *, crop: bool) -> str:
        with self._console.capture() as capture:
            self._console.print(text, soft_wrap=not crop, no_wrap=crop, crop=crop)
        return capture.get()

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()
