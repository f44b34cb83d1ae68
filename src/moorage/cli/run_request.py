"""What is typed after ``moorage run``: which kernel, which code, and how."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from moorage.errors import UsageError
from moorage.regular import MOST_DOCUMENT, read_regular

_PROSE = frozenset({".md", ".Rmd", ".qmd", ".markdown", ".rst", ".mystnb"})


@dataclass(frozen=True)
class RunRequest:
    """What is to be run, where and how.

    Attributes:
        kernel_type: what to launch, or None for an existing kernel.
        existing: what to attach to, as :func:`moorage.attach` takes it; or None.
        cells: the code, in order; an error ends it.
        asks: whether standard input is free for the code's questions.
        env, kernel_args, cwd, isolate, rendezvous: as :func:`moorage.launch` takes them.
        timeout: seconds the code may take; 0 for no limit.
        start_timeout: seconds the kernel may take to answer; 0 for no limit.
        argv: what a Python kernel has in ``sys.argv``; empty to leave it alone.
        json: print one document of all outputs, and nothing else.
    """

    kernel_type: str | None
    existing: str | None
    cells: tuple[str, ...]
    asks: bool
    env: dict[str, str] = field(default_factory=dict, repr=False)
    kernel_args: tuple[str, ...] = ()
    cwd: str | None = None
    isolate: str = "none"
    rendezvous: str = "auto"
    timeout: float = 0.0
    start_timeout: float = 60.0
    argv: tuple[str, ...] = ()
    json: bool = False


def request_of(options: argparse.Namespace) -> RunRequest:
    """Check what was typed.

    Raises:
        UsageError: it makes no sense.
    """
    words = list(options.sources)
    existing = options.existing
    kernel_type = None
    if existing is None:
        if not words:
            raise UsageError(
                "no kernel type was given", do=f"Type moorage run TYPE -c CODE. {_types()}".strip()
            )
        kernel_type = _named(words.pop(0), "the kernel type")
        if kernel_type.startswith("running/"):
            kernel_type, existing = None, kernel_type
    else:
        _refuse_launching(options)
    argv = _argv(options.code, words)
    cells, asks = _cells(options.code, words, kernel_type)
    return RunRequest(
        kernel_type,
        existing,
        cells,
        asks,
        env=_variables(options.env),
        kernel_args=tuple(options.kernel_arg),
        cwd=options.cwd,
        isolate=options.isolate,
        rendezvous=options.rendezvous,
        timeout=options.timeout,
        start_timeout=options.start_timeout,
        argv=argv,
        json=options.json,
    )


def _named(word: str, what: str) -> str:
    if not word:
        raise UsageError(f"{what} is empty", why="A variable of the shell may be unset")
    return word


def _refuse_launching(options: argparse.Namespace) -> None:
    given = {
        "--cwd": options.cwd is not None,
        "--env": bool(options.env),
        "--kernel-arg": bool(options.kernel_arg),
        "--isolate": options.isolate != "none",
        "--rendezvous": options.rendezvous != "auto",
    }
    wrong = [flag for flag, there in given.items() if there]
    if wrong:
        raise UsageError(f"{' and '.join(wrong)} cannot be with --existing", why="That kernel runs already")


def _argv(code: str | None, words: Sequence[str]) -> tuple[str, ...]:
    """Return what the file finds in ``sys.argv``; nothing where that is left alone."""
    if code is not None and words:
        why = f"-c is the code, and {words[0]} a file"
        raise UsageError("one thing can be run", why=why, do=f"Put -- before the arguments of {words[0]}")
    # A notebook has the kernel's own arguments everywhere; a script runs as by its interpreter.
    return () if len(words) == 1 and words[0].endswith(".ipynb") else tuple(words)


def _cells(code: str | None, words: Sequence[str], kernel_type: str | None) -> tuple[tuple[str, ...], bool]:
    """Return the code, and whether standard input is still free."""
    if code is not None:
        return (code,), True
    if not words:
        if kernel_type is not None and Path(kernel_type).is_file():
            raise UsageError(
                f"{kernel_type} is a file and no kernel type",
                do=f"Type moorage run TYPE {kernel_type}. {_types()}",
            )
        raise UsageError("there is nothing to run", do="Give -c CODE, a FILE, or - for standard input")
    if _named(words[0], "the name of the file") == "-":
        return (sys.stdin.read(),), False
    return _read(Path(words[0])), True


def _read(path: Path) -> tuple[str, ...]:
    try:
        text = read_regular(path, MOST_DOCUMENT).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read", why=getattr(error, "strerror", "") or str(error)
        ) from error
    if path.suffix in _PROSE:
        raise UsageError(f"{path} is prose with code in it", do=f"Type moorage render {path}")
    return _code_cells(path, text) if path.suffix == ".ipynb" else (text,)


def _code_cells(path: Path, text: str) -> tuple[str, ...]:
    import json

    try:
        cells = json.loads(text)["cells"]
        sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        return tuple(each if isinstance(each, str) else "".join(each) for each in sources)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = (
            "It is not JSON" if isinstance(error, ValueError) else f"It is no notebook of format 4: {error!r}"
        )
        raise UsageError(f"{path} cannot be read as a notebook", why=why) from error


def _variables(given: Sequence[str]) -> dict[str, str]:
    for each in given:
        if "=" not in each or each.startswith("="):
            raise UsageError(f"--env {each} sets nothing", do="Write --env NAME=VALUE")
    return {name: value for name, _, value in (each.partition("=") for each in given)}


def _types() -> str:
    from moorage.discovery.kernelspec import names
    from moorage.kinds import NO_KERNEL

    known = names()
    return f"Here are: {', '.join(known[:12])}" if known else NO_KERNEL
