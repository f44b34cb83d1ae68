"""The options of :func:`moorage.render`: typed, named in its signature, and checked by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar

from moorage.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

TOLD = ("report", "junit", "json", "quiet", "plain")
"""Flags of the command that say what it tells of a run; a program looks at the report that it is given."""


class RenderOptions(TypedDict, total=False):
    """What :func:`moorage.render` takes beside its sources; each is the flag of that name."""

    out: str | Path | None
    to: str | Sequence[str] | None
    jobs: int | None
    kernel: str | None
    kernel_arg: Sequence[str] | None
    param: Mapping[str, Any] | Sequence[str] | None
    env: Mapping[str, str] | Sequence[str] | None
    timeout: float | str | None
    cell_timeout: float | str | None
    start_timeout: float | str | None
    retries: int | None
    fail_fast: bool | None
    allow_errors: bool | None
    cache: str | Path | None
    no_cache: bool | None
    force: bool | None
    overwrite: bool | None
    artifacts: str | Sequence[str] | None
    bundle: str | Path | None
    remove_cells: str | Sequence[str] | None
    isolate: Literal["none", "net"] | None
    rendezvous: Literal["auto", "handshake", "self-bind", "hold", "ipc"] | None
    no_fork: bool | None
    display: bool | None
    cluster: str | None


def spelled_out(function: F) -> F:
    """Give a function that takes ``**options`` of this kind a signature with each of them by name."""
    signature = inspect.signature(function)
    fixed = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    named = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in RenderOptions.__annotations__.items()
    ]
    # What inspect, help(), editors and documentation tools look at: PEP 362.
    setattr(function, "__signature__", signature.replace(parameters=[*fixed, *named]))  # noqa: B010 - no attribute that types know
    return function


def check_names(options: Mapping[str, object]) -> None:
    """Refuse options that do not exist, with near names.

    Raises:
        UsageError: there is one.
    """
    for name in options:
        if name in RenderOptions.__annotations__:
            continue
        if name in TOLD:
            why, do = "The command alone writes and shows it", "Use the report that moorage.render returns"
            raise UsageError(f"moorage.render has no option {name}", why=why, do=do)
        near = difflib.get_close_matches(name, RenderOptions.__annotations__, n=2)
        do = f"Did you mean {' or '.join(near)}?" if near else "help(moorage.render) has all of them"
        raise UsageError(f"moorage.render has no option {name}", do=do)
