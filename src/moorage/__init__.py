"""moorage: Jupyter kernels without port races.

Nothing is loaded until it is used: ``import moorage`` takes a millisecond or two beside the interpreter.
"""

from typing import TYPE_CHECKING, Any

from moorage.errors import MoorageError

if TYPE_CHECKING:
    from moorage.kernel import blocking
    from moorage.kernel.attach import attach
    from moorage.kernel.launch import launch
    from moorage.kernel.pool import pool
    from moorage.notebooks.run import render
    from moorage.plan.restart import RestartPolicy
    from moorage.process.options import ProcessOptions
    from moorage.process.warden.shared import close

    __version__: str

_WHERE = {
    "ProcessOptions": "moorage.process.options",
    "RestartPolicy": "moorage.plan.restart",
    "attach": "moorage.kernel.attach",
    "close": "moorage.process.warden.shared",
    "launch": "moorage.kernel.launch",
    "pool": "moorage.kernel.pool",
    "render": "moorage.notebooks.run",
}
"""Public names, and the module that each is loaded from when it is first used."""

__all__ = [
    "MoorageError",
    "ProcessOptions",
    "RestartPolicy",
    "__version__",
    "attach",
    "blocking",
    "close",
    "launch",
    "pool",
    "render",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "__version__":
        from importlib.metadata import version

        found: Any = version("moorage")
    elif name == "blocking":
        found = importlib.import_module("moorage.kernel.blocking")
    elif name in _WHERE:
        found = getattr(importlib.import_module(_WHERE[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
