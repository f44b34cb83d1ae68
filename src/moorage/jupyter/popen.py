"""The arguments of ``start_kernel`` that are subprocess.Popen's: what is honoured, and what is refused.

A kernel's process is started by the warden, in another process than the tool's. What cannot be done there is
refused: a kernel that runs with more rights than its caller asked for must not start.
"""

from __future__ import annotations

from collections.abc import Mapping

from moorage.errors import UsageError
from moorage.json_types import JsonMapping
from moorage.process.options import ProcessOptions

HONOURED = frozenset({"user", "group", "extra_groups", "umask", "rlimits", "pass_fds"})
"""Arguments that :class:`moorage.process.options.ProcessOptions` knows; ``rlimits`` is not Popen's."""

# Passed on by jupyter_client, and of no concern for the process itself.
_ELSEWHERE = frozenset({"cmd", "env", "cwd", "stdin", "stdout", "stderr"}) | {
    *("independent", "kernel_id", "kernel_name", "extra_arguments", "transport_encryption")
}

# What every process of the warden's is, or what Popen does by default.
_TRUE_ANYWAY: Mapping[str, tuple[object, ...]] = {
    "start_new_session": (True, None),
    "process_group": (0, None, -1),
    "close_fds": (True,),
    "restore_signals": (True,),
    "preexec_fn": (None,),
    "executable": (None,),
    "shell": (False,),
    "bufsize": (-1, 0),
    "pipesize": (-1,),
    "text": (None, False),
    "universal_newlines": (None, False),
    "encoding": (None,),
    "errors": (None,),
    "startupinfo": (None,),
    "creationflags": (0,),
}
_WHY = {
    "preexec_fn": "moorage's warden starts the process, which a function of this one cannot run in",
    "start_new_session": "Every kernel leads a session of its own, so that all of it can be ended",
    "process_group": "Every kernel leads a group of its own, so that all of it can be interrupted",
    "close_fds": "Only descriptors that are named are passed on: name them in pass_fds",
    "executable": "A kernel's program is what its kernelspec says",
    "shell": "A kernel's command is a list of words",
}


def process_options(arguments: JsonMapping) -> ProcessOptions | None:
    """Return what a kernel's process is to have of its own; None for nothing.

    Args:
        arguments: of ``start_kernel``.

    Raises:
        UsageError: an argument cannot be honoured, or is unknown.
    """
    for name, value in arguments.items():
        if name in HONOURED or name in _ELSEWHERE or any(value is one for one in _TRUE_ANYWAY.get(name, ())):
            continue
        raise UsageError(
            f"a kernel cannot be started with {name}={_shown(value)}",
            why=_WHY.get(name, "moorage does not know what that would mean for its process"),
            do="Leave it out, or start the kernel without moorage: independent=True",
        )
    given = {name: value for name in HONOURED if (value := arguments.get(name)) not in (None, (), [], {})}
    if given.get("umask") == -1:  # Popen's own default
        del given["umask"]
    if not given:
        return None
    options = ProcessOptions(**given)
    options.to_dict()
    return options


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str | int | bool) else f"<{type(value).__name__}>"
