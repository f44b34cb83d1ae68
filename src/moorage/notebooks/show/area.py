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
_ERASE_BELOW: Final = "\x1b[J"
"""ED of ECMA-48: everything from the cursor to the end of the screen."""


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
            self._write(self._erased() + _SHOW)

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
        erased = self._erased()
        above = "".join(self._rendered(text, crop=False) for text in texts)
        self._drawn = [line.cell_len for line in self._lines] if self._open else []
        below = "".join(self._rendered(line, crop=True) for line in self._lines) if self._open else ""
        self._write(erased + above + (below.removesuffix("\n") + "\r" if below else ""))

    def _erased(self) -> str:
        """Return what takes the drawn lines away, and forget them."""
        width, drawn = max(self._console.width, 1), self._drawn
        self._drawn = []
        if not drawn:
            return ""
        up = sum(max(1, -(-cells // width)) for cells in drawn[:-1])
        return "\r" + (f"\x1b[{up}A" if up else "") + _ERASE_BELOW

    def _rendered(self, text: Text, *, crop: bool) -> str:
        with self._console.capture() as capture:
            self._console.print(text, soft_wrap=not crop, no_wrap=crop, crop=crop)
        return capture.get()

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()
