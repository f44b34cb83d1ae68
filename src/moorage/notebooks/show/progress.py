"""Which presenter shows a run while it goes on."""

from __future__ import annotations

from importlib.util import find_spec
from typing import IO, TYPE_CHECKING

from moorage.notebooks.show import ansi
from moorage.notebooks.show.plain import Plain, Quiet
from moorage.notebooks.show.presenter import Presenter
from moorage.notebooks.show.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Mapping


def choose_presenter(
    *,
    stdout: IO[str],
    stderr: IO[str],
    environ: Mapping[str, str],
    quiet: bool = False,
    plain: bool = False,
    stdout_taken: bool = False,
) -> Presenter:
    """Return the presenter that suits the streams.

    ============================================  =====================================================
    ``--quiet``                                   failures alone, on stderr
    stdout is a terminal                          live display, on stderr if that is a terminal too
    stdout is a pipe or a file, or ``--plain``    plain lines on stdout
    ``--json -``, ``-o -``                        stdout is the document's; as above, on stderr
    ``GITHUB_ACTIONS=true``                       as above, with annotations, groups and step summary
    ============================================  =====================================================

    A live display never runs beside a stdout that goes elsewhere, because ``moorage render | tee log`` ends
    on the same terminal. ``NO_COLOR`` (https://no-color.org) and ``TERM=dumb`` are honoured, ``FORCE_COLOR``
    too. Without rich, a terminal gets plain lines.

    Args:
        stdout: the process's standard output.
        stderr: the process's standard error.
        environ: its environment.
        quiet: show failures alone.
        plain: show lines even in a terminal.
        stdout_taken: stdout is taken by ``--json -`` or ``-o -``.
    """
    lines = stderr if quiet or stdout_taken else stdout
    smart = environ.get("TERM", "") != "dumb"
    on_github = environ.get("GITHUB_ACTIONS") == "true"
    if lines.isatty() and smart and find_spec("rich") and not (quiet or plain or on_github):
        from moorage.notebooks.show.live import Live

        where = stderr if stderr.isatty() else lines
        return Live(Sink(_raw(where)), colour=_colour(where, environ))
    sink = Sink(_raw(lines), runner=ansi.on_runner(environ))
    colour = _colour(lines, environ) or (on_github and not environ.get("NO_COLOR"))
    inner: Presenter = Quiet(sink, colour=colour) if quiet else Plain(sink, colour=colour)
    if not on_github:
        return inner
    from moorage.notebooks.show.github import GitHub

    return GitHub(inner, sink=sink, environ=environ)


def _raw(stream: IO[str]) -> IO[str]:
    """Return the stream behind one that the command line guards: a sink guards it by itself."""
    raw: IO[str] = getattr(stream, "unguarded", stream)
    return raw


def _colour(stream: IO[str], environ: Mapping[str, str]) -> bool:
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and environ.get("TERM", "") != "dumb"
