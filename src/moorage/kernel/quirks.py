"""What particular kernels need beside the protocol, as :mod:`moorage.kinds` knows it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from moorage.discovery.kernelspec import KernelSpec
from moorage.kernel.late_output import LateOutput
from moorage.kernel.message_numbers import Numbers
from moorage.kernel.published import Counts, Published
from moorage.kinds import InterruptMode, kind_by_reply
from moorage.process.ipykernel_patches.arguments import starts_application


def ends_by_shell(spec: KernelSpec, info: Mapping[str, Any]) -> bool:
    """Tell whether a kernel is to be asked to end on its shell channel, see :class:`moorage.kinds.Kind`.

    Args:
        spec: its kernelspec.
        info: its ``kernel_info_reply``.
    """
    return spec.kind.refined(info).ends_by_shell


def interrupt_mode(spec: KernelSpec, info: Mapping[str, Any]) -> InterruptMode:
    """Return how a kernel is to be interrupted: as its kernelspec says, unless its kind knows better.

    Args:
        spec: its kernelspec.
        info: its ``kernel_info_reply``.
    """
    return spec.kind.refined(info).interrupt or spec.interrupt_mode


def late_output(spec: KernelSpec, info: Mapping[str, Any]) -> LateOutput | None:
    """Return how to find the end of what a kernel publishes of a request that it has answered already.

    Args:
        spec: its kernelspec.
        info: its ``kernel_info_reply``.

    Returns:
        None for kernels that publish everything before they say idle.
    """
    kind = spec.kind.refined(info)
    return None if kind.in_order else LateOutput(kind.mark)


def preparation(info: Mapping[str, Any]) -> str | None:
    """Return code to run, silently, in a kernel that has just started; None for most.

    Args:
        info: its ``kernel_info_reply``.
    """
    return kind_by_reply(info).preparation


def preparation_for_another(info: Mapping[str, Any]) -> str | None:
    """Return what to run of that once more for a client that came later; None for most.

    The limit of a publisher is lifted for the connections it has: a later one gets the limit of the socket
    that listens.

    Args:
        info: its ``kernel_info_reply``.
    """
    kind = kind_by_reply(info)
    return kind.preparation if kind.lifts_limit else None


def published(
    spec: KernelSpec, info: Mapping[str, Any], own: Container[str] | None = None
) -> Published | None:
    """Return what finds out whether all that a kernel launched here published has arrived.

    Args:
        spec: its kernelspec.
        info: its ``kernel_info_reply``.
        own: the sessions of this process's clients; None where it has no others.

    Returns:
        None for kernels whose publisher drops nothing: those started so, and those prepared so.
    """
    kind = spec.kind.refined(info)
    if starts_application(spec.argv) or kind.lifts_limit:
        return None
    return Numbers(own) if kind.published is None else Counts(kind.published)


def published_elsewhere(spec: KernelSpec, info: Mapping[str, Any], own: Container[str]) -> Published:
    """Return what finds out so of a kernel that another program started, and that others use, too.

    Args:
        spec: its kernelspec, as far as it is known.
        info: its ``kernel_info_reply``.
        own: the sessions of this process's clients.

    Returns:
        What finds nothing missing where the kernel neither numbers nor counts.
    """
    kind = spec.kind.refined(info)
    return Numbers(own) if kind.published is None else Counts(kind.published, shared=True)
