"""Importing a library without what it imports ahead and calls later, if at all."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

OF_JSONSCHEMA = {
    "rfc3987_syntax": "is_valid_syntax",
    "rfc3986_validator": "validate_rfc3986",
    "rfc3339_validator": "validate_rfc3339",
}
"""The function of each module that jsonschema takes for a format of strings, where that is installed.

rfc3987_syntax, which comes with every Jupyter Server, compiles a grammar (0.95 s) for ``iri``;
rfc3986_validator compiles expressions (0.03 s).
"""


def late(functions: Mapping[str, str]) -> dict[str, ModuleType]:
    """Make modules that stand in for installed ones that are not loaded.

    Args:
        functions: the one function that each module has; it loads the real one when it is called.
    """
    made: dict[str, ModuleType] = {}
    for name, function in functions.items():
        if name not in sys.modules and _is_installed(name):
            made[name] = module = ModuleType(name)
            vars(module)[function] = _calling(module, function)
    return made


@contextmanager
def standing_in(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Have modules stand in for others inside the block; afterwards those can be imported as ever.

    Every thread that imports one meanwhile gets what stands in for it.

    Args:
        modules: by name, see :func:`late`; None for one that is not to be found. What is loaded stays.
    """
    hidden = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type] # None is the documented way to block an import
    try:
        yield
    finally:
        for name, module in hidden.items():
            if sys.modules.get(name) is module:  # a call may have loaded the real one
                sys.modules.pop(name, None)


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # there is no parent, or a program left something odd in its place
        return False


def _calling(stand_in: ModuleType, function: str) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        name = stand_in.__name__
        if sys.modules.get(name) is stand_in:
            sys.modules.pop(name, None)  # another thread may have done so
        return getattr(importlib.import_module(name), function)(*args, **options)

    return call
