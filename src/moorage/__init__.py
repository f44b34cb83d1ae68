"""moorage: launch Jupyter kernels without port races, watch over them, and put them to work.

``moorage.launch`` and ``moorage.render`` are what to call and also the packages of these names: Python sets
a package's attribute to its subpackage whenever something in that is imported, so a function of the same
name would come and go. Here the subpackages themselves can be called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.errors import MoorageError

if TYPE_CHECKING:
    from moorage.kernel import blocking
    from moorage.kernel.attach import attach
    from moorage.kernel.kernel import launch
    from moorage.kernel.pool import pool
    from moorage.launch.options import ProcessOptions
    from moorage.launch.shared import close
    from moorage.render.run import render

    __version__: str
else:
    from types import ModuleType

    # Empty both: each costs a fraction of a millisecond.
    from moorage import launch, render

    class _Launch(ModuleType):
        """The package ``moorage.launch``, which launches a kernel when called."""

        def __call__(self, *arguments: Any, **options: Any) -> Any:
            """Launch a kernel: see :func:`moorage.kernel.kernel.launch`."""
            from moorage.kernel.kernel import launch

            return launch(*arguments, **options)

    class _Render(ModuleType):
        """The package ``moorage.render``, which renders notebooks when called."""

        def __call__(self, *arguments: Any, **options: Any) -> Any:
            """Render notebooks: see :func:`moorage.render.run.render`."""
            from moorage.render.run import render

            return render(*arguments, **options)

    launch.__class__ = _Launch
    render.__class__ = _Render

__all__ = [
    "MoorageError",
    "ProcessOptions",
    "__version__",
    "attach",
    "blocking",
    "close",
    "launch",
    "pool",
    "render",
]


def __getattr__(name: str) -> Any:
    if name == "blocking":
        import importlib

        return importlib.import_module("moorage.kernel.blocking")
    if name == "attach":
        from moorage.kernel.attach import attach

        return attach
    if name == "pool":
        from moorage.kernel.pool import pool

        return pool
    if name == "close":
        from moorage.launch.shared import close

        return close
    if name == "ProcessOptions":
        from moorage.launch.options import ProcessOptions

        return ProcessOptions
    if name == "__version__":
        from importlib.metadata import version

        return version("moorage")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
