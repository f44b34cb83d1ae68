"""mooring: launch Jupyter kernels without port races, watch over them, and put them to work.

``mooring.launch`` and ``mooring.render`` are what to call and also the packages of these names: Python sets
a package's attribute to its subpackage whenever something in that is imported, so a function of the same
name would come and go. Here the subpackages themselves can be called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mooring.errors import MooringError

if TYPE_CHECKING:
    from mooring.kernel import blocking
    from mooring.kernel.attach import attach
    from mooring.kernel.kernel import launch
    from mooring.kernel.pool import pool
    from mooring.render.run import render

    __version__: str
else:
    from types import ModuleType

    # Empty both: each costs a fraction of a millisecond.
    from mooring import launch, render

    class _Launch(ModuleType):
        """The package ``mooring.launch``, which launches a kernel when called."""

        def __call__(self, *arguments: Any, **options: Any) -> Any:
            """Launch a kernel: see :func:`mooring.kernel.kernel.launch`."""
            from mooring.kernel.kernel import launch

            return launch(*arguments, **options)

    class _Render(ModuleType):
        """The package ``mooring.render``, which renders notebooks when called."""

        def __call__(self, *arguments: Any, **options: Any) -> Any:
            """Render notebooks: see :func:`mooring.render.run.render`."""
            from mooring.render.run import render

            return render(*arguments, **options)

    launch.__class__ = _Launch
    render.__class__ = _Render

__all__ = ["MooringError", "__version__", "attach", "blocking", "launch", "pool", "render"]


def __getattr__(name: str) -> Any:
    if name == "blocking":
        import importlib

        return importlib.import_module("mooring.kernel.blocking")
    if name == "attach":
        from mooring.kernel.attach import attach

        return attach
    if name == "pool":
        from mooring.kernel.pool import pool

        return pool
    if name == "__version__":
        from importlib.metadata import version

        return version("mooring")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
