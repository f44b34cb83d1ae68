"""What particular kernels need beside the protocol, as :mod:`moorage.kinds` knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moorage.kernel.late_output import LateOutput
from moorage.kernel.published import Counts, Numbers, Published
from moorage.kinds import InterruptMode, kind_by_reply, kind_of
from moorage.process.ipykernel_patches.arguments import starts_application


def ends_by_shell(argv: Sequence[str], info: Mapping[str, Any]) -> bool:
    """Tell whether a kernel is to be asked to end on its shell channel, see :class:`moorage.kinds.Kind`.

    Args:
        argv: its kernelspec's command.
        info: its ``kernel_info_reply``.
    """
    return kind_of(argv).ends_by_shell or kind_by_reply(info).ends_by_shell


def interrupt_mode(stated: InterruptMode, info: Mapping[str, Any]) -> InterruptMode:
    """Return how a kernel is to be interrupted.

    Args:
        stated: what its kernelspec says.
        info: its ``kernel_info_reply``.
    """
    return kind_by_reply(info).interrupt or stated


def late_output(argv: Sequence[str], info: Mapping[str, Any]) -> LateOutput | None:
    """Return how to find the end of what a kernel publishes of a request that it has answered already.

    Args:
        argv: its kernelspec's command.
        info: its ``kernel_info_reply``.

    Returns:
        None for kernels that publish everything before they say idle.
    """
    kind = kind_by_reply(info)
    return None if kind.in_order or kind_of(argv).in_order else LateOutput(kind.mark)


def preparation(info: Mapping[str, Any]) -> str | None:
    """Return code to run, silently, in a kernel that has just started; None for most.

    Args:
        info: its ``kernel_info_reply``.
    """
    return kind_by_reply(info).preparation


def published(argv: Sequence[str], info: Mapping[str, Any]) -> Published | None:
    """Return what finds out whether all that a kernel published has arrived.

    Args:
        argv: its kernelspec's command.
        info: its ``kernel_info_reply``.

    Returns:
        None for kernels whose publisher drops nothing: those started so, and those prepared so.
    """
    kind = kind_by_reply(info)
    if starts_application(argv) or kind.lifts_limit:
        return None
    return Numbers() if kind.published is None else Counts(kind.published)


def arguments(words: Sequence[str]) -> str:
    """Return code that gives a Python kernel's ``sys.argv`` these words, and leaves no name behind."""
    return f"__import__('sys').argv[:] = {[*words]!r}"
