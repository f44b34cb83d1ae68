"""What can run.

``from_blocking``, ``KernelType`` and the other names that a provider is written with are here. Each is
imported when it is first used: launching a kernel needs none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moorage.discovery.base import Around, KernelType, Lack, Provider, from_blocking
    from moorage.discovery.finder import Finder, Listing, find, list_types
    from moorage.discovery.kernelspec import KernelSpec

_HOMES = {
    **dict.fromkeys(("Around", "KernelType", "Lack", "Provider", "from_blocking"), "base"),
    **dict.fromkeys(("Finder", "Listing", "find", "list_types"), "finder"),
    "KernelSpec": "kernelspec",
}

__all__ = [
    "Around",
    "Finder",
    "KernelSpec",
    "KernelType",
    "Lack",
    "Listing",
    "Provider",
    "find",
    "from_blocking",
    "list_types",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"moorage.discovery.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
