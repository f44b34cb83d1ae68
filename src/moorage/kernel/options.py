"""The options of a launch, for what takes them and hands them on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

if TYPE_CHECKING:
    from moorage.places.base import Place
    from moorage.plan.restart import RestartPolicy
    from moorage.process.base import Fork, Isolate
    from moorage.process.environment import Changes
    from moorage.process.options import ProcessOptions
    from moorage.process.warden.client import Warden
    from moorage.rendezvous.base import Choice


class LaunchOptions(TypedDict, total=False):
    """What a launch may say of a kernel; see :func:`moorage.launch`."""

    cwd: str | Path | None
    env: Changes | None
    rendezvous: Choice
    kernel_args: Sequence[str]
    timeout: float
    fork: Fork
    isolate: Isolate
    process: ProcessOptions | None
    place: Place | None
    restarts: RestartPolicy | int | None


class LoopOptions(LaunchOptions, total=False):
    """What it may say besides within the event loop that the warden belongs to."""

    warden: Warden | None


F = TypeVar("F", bound=Callable[..., Any])

_OF_A_LOOP = LoopOptions.__annotations__.keys() - LaunchOptions.__annotations__.keys()


def spelled_out_as(launch: Callable[..., Any]) -> Callable[[F], F]:
    """Make a decorator of functions that take the :class:`LaunchOptions` as ``**options``.

    It gives them a signature with each option by name, with its default, but for what belongs to a loop.

    Args:
        launch: has them in its signature.
    """

    def decorate(function: F) -> F:
        shown = inspect.signature(launch)
        named = [each for name, each in shown.parameters.items() if name not in _OF_A_LOOP]
        returned = inspect.signature(function).return_annotation
        signature = shown.replace(parameters=named, return_annotation=returned)
        # What inspect, help(), editors and documentation tools look at: PEP 362.
        setattr(function, "__signature__", signature)  # noqa: B010 - no attribute that types know
        return function

    return decorate
