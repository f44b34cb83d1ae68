"""The terminal of ``moorage run``: a kernel's output as it comes, and its questions."""

from __future__ import annotations

import asyncio
import json
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from time import monotonic
from typing import TextIO

from moorage.cli.presses import Presses
from moorage.cli.stdio import raw
from moorage.kernel.client import Result
from moorage.kernel.outputs import traceback_of
from moorage.notebooks.show import ansi
from moorage.notebooks.show.sink import LAST_WORDS, Sink
from moorage.wire.messages import Message


class QuestionOver(Exception):
    """Nothing waits for the answer any more: a deadline passed, or the kernel that asked has ended."""


class Outlet:
    """A stream of the terminal that never holds up the loop.

    What its reader does not take yet waits and is handed on in the loop as the reader goes on.
    """

    def __init__(self, stream: TextIO, lose: Callable[[], object]) -> None:
        """Take the stream; ``lose`` is called when nothing more can be written there."""
        self._sink = Sink(stream)
        self._lose = lose
        self._moved = asyncio.Event()

    @property
    def lost(self) -> OSError | None:
        """Why nothing is written any more; None as long as it is."""
        return self._sink.lost

    def write(self, text: str) -> None:
        """Write ``text`` as it is; what the encoding cannot show becomes an escape."""
        if self._sink.behind:
            # Before it is written to, see below.
            asyncio.get_running_loop().remove_writer(self._sink.fileno())
        with self._watched():
            self._sink.write(text)
        self._go_on()

    @property
    def behind(self) -> bool:
        """Whether its reader has still to take what was written."""
        return self._sink.behind

    def fileno(self) -> int:
        """Return the stream's descriptor; to be asked for while it is behind."""
        return self._sink.fileno()

    def flush(self) -> None:
        """Hand on what the reader takes now."""
        with self._watched():
            self._sink.flush()

    async def drain(self, patience: float | None) -> None:
        """Wait until all is written, or until the reader has taken nothing for ``patience`` seconds."""
        while self._sink.behind:
            self._moved.clear()
            try:
                async with asyncio.timeout(patience):
                    await self._moved.wait()
            except TimeoutError:
                return

    def _go_on(self) -> None:
        self.flush()
        if self._sink.behind:
            asyncio.get_running_loop().add_writer(self._sink.fileno(), self._on_writable)
        self._moved.set()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        before = self._sink.lost
        yield
        if before is None and self._sink.lost is not None:
            self._lose()

    def _on_writable(self) -> None:
        # Before it is written to: a stream that is lost has its descriptor replaced.
        asyncio.get_running_loop().remove_writer(self._sink.fileno())
        self._go_on()


class Terminal:
    """Standard input and output of this command.

    What the code prints passes as it is, as under an interpreter: it is the user's own. Errors, results and
    notes pass :func:`moorage.notebooks.show.ansi.shown`.
    """

    def __init__(self, stdin: TextIO, stdout: TextIO, stderr: TextIO, *, quiet: bool) -> None:
        """Take the streams; ``quiet`` shows nothing of what comes."""
        self._stdin = stdin
        self._stderr = raw(stderr)
        self._out = Outlet(raw(stdout), self._on_lost)
        # One queue where both lead to one place (`2>&1`, a terminal): what was written first comes first.
        same = _same(raw(stdout), self._stderr)
        self._err = self._out if same else Outlet(self._stderr, self._on_lost)
        self._give_up: Callable[[], object] | None = None
        self._presses: Presses | None = None
        self._typed = b""
        self._quiet = quiet
        self._colours = stderr.isatty() and not os.environ.get("NO_COLOR")
        self._runner = ansi.on_runner(os.environ)
        self._mid_line = False

    @property
    def lost(self) -> OSError | None:
        """Why a stream leads nowhere any more; None as long as both are written to."""
        return self._out.lost or self._err.lost

    @contextmanager
    def needed(self, give_up: Callable[[], object], pressed: Presses | None = None) -> Iterator[None]:
        """Call ``give_up`` should a stream be lost within the block, and end questions at a Ctrl-C."""
        self._give_up, self._presses = give_up, pressed
        try:
            yield
        finally:
            self._give_up = self._presses = None

    async def drain(self, *, hurried: bool) -> None:
        """Wait until the readers have taken everything.

        Args:
            hurried: give up a reader that takes nothing for some seconds.
        """
        for outlet in (self._out, self._err):
            await outlet.drain(LAST_WORDS if hurried else None)

    def show(self, message: Message) -> None:
        """Show one iopub message as far as a terminal can."""
        if self._quiet:
            return
        content = message.content
        match message.msg_type:
            case "stream" if content.get("name") == "stderr":
                self._err.write(str(content.get("text", "")))
            case "stream":
                text = str(content.get("text", ""))
                self._out.write(text)
                self._mid_line = not text.endswith("\n") if text else self._mid_line
            case "execute_result" | "display_data":
                self._bundle(content.get("data"))
            case "error":
                self._error(
                    "\n".join(traceback_of(content)) or f"{content.get('ename')}: {content.get('evalue')}"
                )

    def fail(self, result: Result) -> None:
        """Show an error that was in the reply and not among the outputs."""
        if result.error is not None and not self._quiet:
            self._error(f"{result.error.ename}: {result.error.evalue}")

    def write(self, text: str) -> None:
        """Write to standard output what is no output of the code."""
        self._out.write(text)

    def note(self, text: str) -> None:
        """Write a note to standard error."""
        self._err.write(ansi.shown(text, runner=self._runner) + "\n")

    def ask(self, prompt: str, *, hidden: bool, until: float | None = None, end: int | None = None) -> str:
        """Ask and return the answer.

        Args:
            prompt: shown before it.
            hidden: show nothing of what is typed.
            until: time of :func:`time.monotonic` up to which an answer is waited for.
            end: descriptor that becomes readable when what asked has ended.

        Raises:
            EOFError: there is none.
            KeyboardInterrupt: Ctrl-C.
            QuestionOver: that time is over, or what asked has ended.
        """
        hidden = hidden and self._stdin.isatty()
        asked = self._err if self._quiet or hidden else self._out
        asked.write(prompt)
        with _without_echo(self._stdin) if hidden else nullcontext():
            line = self._line(until, end)
        if hidden:
            asked.write("\n")
        if not line:
            raise EOFError
        self._mid_line = False
        return line.rstrip("\n")

    def _line(self, until: float | None, end: int | None) -> str:
        """Wait for a line of standard input, which nothing else reads; meanwhile hand on what was written."""
        presses = None if self._presses is None else self._presses.fileno()
        wakes = [each for each in (end, presses) if each is not None]
        try:
            descriptor = self._stdin.fileno()
        except (OSError, ValueError, AttributeError):
            return self._stdin.readline()
        while b"\n" not in self._typed:
            behind = [outlet for outlet in {self._out, self._err} if outlet.behind]
            patience = None if until is None else max(0.0, until - monotonic())
            ready = select.select([descriptor, *wakes], behind, [], patience)[0]
            for outlet in behind:
                outlet.flush()
            if self._presses is not None and presses in ready:
                self._presses.handle_pending()
                raise KeyboardInterrupt
            if end in ready or (until is not None and monotonic() >= until):
                raise QuestionOver
            if descriptor in ready:
                typed = os.read(descriptor, 1 << 16)
                self._typed += typed
                if not typed:
                    break
        line, mark, self._typed = self._typed.partition(b"\n")
        return (line + mark).decode(self._stdin.encoding or "utf-8", "replace")

    def _bundle(self, data: object) -> None:
        if not isinstance(data, dict):
            return
        plain = data.get("text/plain")
        if plain is not None:
            text = plain if isinstance(plain, str) else "".join(map(str, plain))
            before = "\n" if self._mid_line else ""
            shown = ansi.shown(text, colour=True, runner=self._runner)
            self._out.write(f"{before}{shown}\n")
            self._mid_line = False
        richer = [
            f"{kind} ({_size(kind, content)})" for kind, content in data.items() if kind != "text/plain"
        ]
        if richer:
            also = "" if plain is None else "also "
            self.note(f"[{also}{', '.join(richer)}]")

    def _error(self, text: str) -> None:
        shown = ansi.shown(text, colour=self._colours, runner=self._runner)
        self._err.write(shown.rstrip("\n") + "\n")

    def _on_lost(self) -> None:
        if self._give_up is not None:
            self._give_up()


@contextmanager
def _without_echo(stdin: TextIO) -> Iterator[None]:
    """Show nothing of what is typed within the block."""
    if sys.platform == "win32":
        yield
        return
    import termios

    before = termios.tcgetattr(stdin)
    silent = [*before]
    silent[3] = before[3] & ~termios.ECHO
    termios.tcsetattr(stdin, termios.TCSANOW, silent)
    try:
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSANOW, before)


def _same(first: TextIO, second: TextIO) -> bool:
    try:
        return os.path.sameopenfile(first.fileno(), second.fileno())
    except (OSError, ValueError, AttributeError):  # no descriptor, or a closed one
        return False


def _size(kind: str, content: object) -> str:
    size = len(content) if isinstance(content, str) else len(json.dumps(content))
    if kind.startswith(("image/", "application/pdf")) and kind != "image/svg+xml":
        size = size * 3 // 4  # base64
    return f"{size} bytes" if size < 1000 else f"{size / 1000:.1f} kB"
