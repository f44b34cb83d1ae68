"""Conformance checks, for authors of providers, launchers and kernels.

Each returns a :class:`Verdict`, which reads as text and whose ``require()`` fails a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moorage.testing.kernel import check_kernel
    from moorage.testing.launcher import check_launcher
    from moorage.testing.provider import check_provider
    from moorage.testing.verdict import Check, Verdict

_HOMES = {
    "check_provider": "provider",
    "check_launcher": "launcher",
    "check_kernel": "kernel",
    "Check": "verdict",
    "Verdict": "verdict",
}

__all__ = ["Check", "Verdict", "check_kernel", "check_launcher", "check_provider"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module  # noqa: PLC0415 - a check is imported when it is asked for

        return getattr(import_module(f"moorage.testing.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
