"""Where a template begins, so that its kernels have a spawned one's stack: ``-m moorage_template.serve``.

``python -m A.B`` has ``runpy`` import ``A`` before it looks for ``A.B``. This module is ``A``: the template
serves while it is imported. In a fork it puts the name of the kernel's module where ``runpy`` holds ``A.B``,
and raises the ImportError that ``runpy`` expects where there is no ``A``. So no frame of a template's is
left, and this module is in no list, when ``runpy`` goes on: it looks for the kernel's module, sets
``__main__`` up and runs it, as it does where ``python -m`` named that module.

The folder comes last in PYTHONPATH. An interpreter told not to look there (``-E``, ``-I``) runs this file by
its path from a ``-c``: then one frame more is left, which is no file's. The kernels' interpreter need not
have moorage: standard library only, from Python 3.8 on.
"""
# ruff: noqa: PTH100, PTH109, PTH118, PTH120 - pathlib would be one more thing a fork shares with its template

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

FOLDER = os.path.dirname(os.path.abspath(__file__))


def leave_search_path() -> None:
    """Take from the search path what is there for the template alone."""
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        del sys.path[0]  # a kernel has its own working directory there
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != FOLDER]
    for path in (FOLDER, os.getcwd()):
        sys.path_importer_cache.pop(path, None)


def load_main() -> Any:
    """Load what a template does, in no list of modules."""
    import importlib.util  # noqa: PLC0415 - not before the search path is a kernel's

    file = os.path.join(os.path.dirname(FOLDER), "main.py")
    spec = importlib.util.spec_from_file_location("moorage_template_main", file)
    if spec is None or spec.loader is None:
        raise ImportError(file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def looking() -> FrameType | None:
    """Return the frame of ``runpy`` that imports this module in order to look for one in it."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - documented
    while frame is not None:
        if frame.f_code.co_name == "_get_module_details" and frame.f_globals.get("__name__") == "runpy":
            return frame
        frame = frame.f_back
    return None


def look_for(frame: FrameType, module: str) -> bool:
    """Have ``runpy`` look for another module from now on; return whether it will."""
    if "mod_name" not in frame.f_locals:
        return False
    frame.f_locals["mod_name"] = module  # from Python 3.13 on that is the variable itself
    if sys.version_info < (3, 13):
        import ctypes  # noqa: PLC0415 - the template has it

        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
    return bool(frame.f_locals["mod_name"] == module)


def forget_command() -> None:
    """Have tracebacks not show the ``-c`` for other code in ``<string>``: from Python 3.13 on it is kept."""
    held = vars(sys.modules.get("linecache", sys))
    for lines in (held.get("cache", {}), held.get("_interactive_cache", {})):
        for key in [key for key in lines if (key[0] if isinstance(key, tuple) else key) == "<string>"]:
            del lines[key]


def begin() -> str:
    """Serve as a template; in a fork, return the kernel's module to a ``-c`` that runs it.

    Raises:
        ImportError: in a fork, below ``-m``: ``runpy`` will look for that module next.
    """
    leave_search_path()
    module: str = load_main().main()
    if globals()["__spec__"] is None:  # run by its path
        forget_command()
        return module
    frame = looking()
    if frame is not None and look_for(frame, module):
        raise ImportError(f"{module} instead", name=__name__)
    import runpy  # noqa: PLC0415 - it is loaded

    runpy._run_module_as_main(module)  # type: ignore[attr-defined]  # noqa: SLF001 - of another shape: run from here
    sys.exit()


if __name__ == "moorage_template":
    module = begin()
