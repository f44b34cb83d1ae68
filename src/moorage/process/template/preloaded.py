"""What a template holds ahead for its kernels: their imports, and what every kernel makes for the first time.

Loaded by the template by its path, without the package: standard library only, from Python 3.9 on.
"""

from __future__ import annotations

import fnmatch
import importlib
import re

PRELOAD = (
    # All that a kernel imports for itself, to its end. None of it starts a thread or opens a socket.
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.debugger_backport",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "IPython.utils.wildcard",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "faulthandler",
    "pdb",
    "psutil",  # when it ends
    "pydoc",
    "sqlite3",
    "tornado.platform.asyncio",
    "tornado.queues",
)


def preload() -> None:
    """Import what kernels import; what is not there, they will do without too."""
    for name in PRELOAD:
        try:
            importlib.import_module(name)
        except ImportError:
            if name == PRELOAD[0]:
                raise


def warm() -> list[str]:
    """Do once what every kernel does, where it leaves nothing behind but compiled patterns and the like.

    Returns:
        what could not be done, each with the reason: a kernel will do it later, if at all.
    """
    missed = []
    for step in (warm_patterns, warm_completer, warm_session, warm_application):
        try:
            for _ in range(2):
                step()
        except Exception as error:  # noqa: BLE001 - boundary: a fork is only slower without
            missed.append(f"{step.__name__}: {type(error).__name__}: {error}")
    return missed


def warm_patterns() -> None:
    """Transform a cell, format a result, match the names of startup files."""
    from IPython.core.formatters import DisplayFormatter  # noqa: PLC0415 - the kernels' interpreter has it
    from IPython.core.inputtransformer2 import TransformerManager  # noqa: PLC0415 - as above

    TransformerManager().transform_cell("print(1 + 1)\n")
    DisplayFormatter().format(1)
    for suffix in ("py", "ipy"):
        re.compile(fnmatch.translate(f"*.{suffix}"))


def warm_completer() -> None:
    """Make a completer."""
    from IPython.core.completer import IPCompleter  # noqa: PLC0415 - the kernels' interpreter has it

    IPCompleter(shell=None)


def warm_session() -> None:
    """Make a message."""
    from jupyter_client.session import Session  # noqa: PLC0415 - the kernels' interpreter has it

    session = Session(key=b"key")
    session.serialize(session.msg("status", {"execution_state": "idle"}))


def warm_application() -> None:
    """Read a command line."""
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415 - the kernels' interpreter has it

    IPKernelApp().parse_command_line(["-f", "kernel.json"])
