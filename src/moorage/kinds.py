"""What is known about kinds of kernels: how each is recognised, launched, interrupted and listened to.

A kind is recognised by what a command itself starts, or by what a running kernel says of itself in its
``kernel_info_reply``. What is not known here is an :data:`OTHER` kernel on libzmq, and gets what every kernel
can do. Each fact was met in a real kernel; docs/reference/kernels-tried.md has what every one of them can do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from moorage.command import program, python_module
from moorage.json_types import JsonMapping

InterruptMode = Literal["signal", "message"]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about one kind.

    Attributes:
        name: of the kind.
        programs: that start such a kernel, by name without folder.
        modules: that start one by ``python -m``.
        packages: any module of which starts one likewise.
        display_names: of its kernelspecs, where neither program nor module tells.
        implementations: how the field of that name in its ``kernel_info_reply`` begins, in lower case.
        features: of ``supported_features`` in that reply, which no other kernel has.
        application: it starts ipykernel's application class, which reads configuration files, writes the
            ports it chose into its connection file, and takes Unix sockets.
        forkable: a template of moorage's can run it.
        registers: it registers its addresses (JEP 66), whatever version its kernelspec says.
        dialect: of that handshake.
        short_addresses: it takes no Unix socket whose path is longer than 31 bytes.
        ends_by_shell: it is asked to end on its shell channel where it is idle. Asked on control, ipykernel's
            main thread may end the thread that prints while the control thread still waits ten seconds for
            it.
        interrupt: how it is interrupted whatever its kernelspec says; None for as that says.
        after_heartbeat: it is asked nothing before its heartbeat is heard, for a request that comes too early
            makes it deaf.
        in_order: it has published all output of a request before it says idle.
        mark: a statement in its language that prints ``{}``, by the way that everything else printed takes.
        preparation: code that is run silently when it has started; None for most.
        lifts_limit: the preparation lifts the limit above which its publisher drops what a slow client has
            not taken. For those with ``application`` a configuration file does (process/ipykernel_patches).
        published: an expression for how much it has published so far, where its preparation counts that.
    """

    name: str
    programs: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    packages: frozenset[str] = frozenset()
    display_names: frozenset[str] = frozenset()
    implementations: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()
    application: bool = False
    forkable: bool = False
    registers: bool = False
    dialect: Literal["docs", "posit"] = "docs"
    short_addresses: bool = False
    ends_by_shell: bool = False
    interrupt: InterruptMode | None = None
    after_heartbeat: bool = False
    in_order: bool = False
    mark: str = ""
    preparation: str | None = None
    lifts_limit: bool = False
    published: str | None = None

    def starts(self, argv: Sequence[str], display_name: str = "") -> bool:
        """Tell whether a command starts a kernel of this kind."""
        if display_name in self.display_names:
            return True
        found = python_module(argv)
        if found is None:
            return program(argv).lower() in self.programs
        return found[0] in self.modules | self.programs or found[0].partition(".")[0] in self.packages

    def answers(self, info: JsonMapping) -> bool:
        """Tell whether a ``kernel_info_reply`` is that of a kernel of this kind."""
        said = info.get("supported_features")
        features = {each for each in said if isinstance(each, str)} if isinstance(said, list) else set()
        named = str(info.get("implementation")).lower()
        return named.startswith(self.implementations or ("\0",)) or bool(self.features & features)

    def refined(self, info: JsonMapping) -> Kind:
        """Return what is known of such a kernel once it has said what it is.

        How it was started stays; how it is listened to, interrupted and prepared is what it says of itself.

        Args:
            info: its ``kernel_info_reply``.
        """
        told = kind_by_reply(info)
        return replace(
            told,
            application=self.application,
            forkable=self.forkable,
            registers=self.registers,
            dialect=self.dialect,
            short_addresses=self.short_addresses,
            ends_by_shell=self.ends_by_shell or told.ends_by_shell,
            after_heartbeat=self.after_heartbeat,
            in_order=self.in_order or told.in_order,
        )

    def has_ipython(self, language: str) -> bool:
        """Tell whether what is known of IPython below is true of such a kernel.

        Args:
            language: the kernelspec's.
        """
        return self.application and language == "python"

    def warm_up(self, language: str) -> str | None:
        """Return code to run silently, with :data:`WARM_EXPRESSIONS`, so that the first cell is no slower.

        First cell and result cost three times the second ones.

        Args:
            language: the kernelspec's.

        Returns:
            None where none is known. In a shell any word might be a program of the user's.
        """
        if not self.application:
            return None
        return "pass" if language == "python" else ""


OTHER = Kind(name="other")
"""Any kernel of which nothing is known but that it speaks Jupyter's protocol."""

# xeus sets a handler of its own behind Python's back, which ends the process (xeus issue 272). As in
# ipykernel, Python's handler shall stand while a cell runs, and none between cells: it would end xeus's loop.
# Raw mode tells nothing of cells: the handler stands always there, and raises where Python code runs.
# Its publisher drops output on a busy machine, and its socket is out of Python's reach: what is published is
# counted, in a place where only the question below looks.
_XEUS_PYTHON = """
import signal, sys, threading
shell, stream, lock, published = get_ipython(), type(sys.stdout), threading.RLock(), [0, 0]
if events := getattr(shell, "events", None):
    events.register("pre_execute", lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    events.register("post_execute", lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
else:
    signal.signal(signal.SIGINT, lambda *given: signal.default_int_handler(*given) if given[1] else None)
def counted(publish, which, amount):
    def publish_and_count(*arguments, **options):
        result = publish(*arguments, **options)
        with lock:
            published[which] += amount(*arguments)
        return result
    publish_and_count.published = published
    return publish_and_count
if events and isinstance(getattr(stream, "write", None), property):
    write = stream.write.fget
    stream.write = property(lambda self: counted(write(self), 0, len))
    shell.display_pub.publish_display_data = counted(shell.display_pub.publish_display_data, 1, lambda *_: 1)
"""

# The socket of IRkernel's publisher is a field of the kernel, which is a variable of the outermost function.
_IRKERNEL = """local(for (frame in sys.frames()) if (inherits(frame$kernel, "Kernel")) try(
    pbdZMQ::zmq.setsockopt(frame$kernel$sockets$iopub, pbdZMQ::ZMQ.SO()$SNDHWM, 0L), silent = TRUE))"""

IPYKERNEL = Kind(
    name="ipykernel",
    modules=frozenset({"ipykernel", "ipykernel_launcher"}),
    packages=frozenset({"ipykernel"}),
    implementations=("ipython",),
    application=True,
    forkable=True,
    ends_by_shell=True,
    in_order=True,
)
WRAPPERS = Kind(
    name="wrappers of ipykernel",
    modules=frozenset({"bash_kernel", "metakernel_python", "octave_kernel"}),
    application=True,
    forkable=True,
    ends_by_shell=True,
    in_order=True,
)
"""Kernels in other languages that are subclasses of ipykernel's, tried forked."""
APPLICATIONS = Kind(
    name="applications of ipykernel",
    modules=frozenset(
        {"calysto_scheme", "gnuplot_kernel", "moorage.jupyter.ipykernel", "sage.repl.ipython_kernel"}
    ),
    application=True,
    ends_by_shell=True,
    in_order=True,
)
"""Kernels on ipykernel's application class whose own imports are most of their start: a fork saves little."""
DERIVED = Kind(name="derived from ipykernel", features=frozenset({"kernel subshells"}), ends_by_shell=True)
"""What has ipykernel's subshells is built on it, whatever its command is. It may carry what a program prints
by a way of its own."""
XEUS_PYTHON = Kind(
    name="xeus-python",
    programs=frozenset({"xpython", "xpython_launcher"}),
    implementations=("xeus-python",),
    registers=True,
    short_addresses=True,
    in_order=True,
    preparation=f"exec({_XEUS_PYTHON!r}, {{'get_ipython': get_ipython}})",
    published="tuple(get_ipython().display_pub.publish_display_data.published)",
)
XEUS_R = Kind(name="xeus-r", programs=frozenset({"xr"}), registers=True, short_addresses=True, in_order=True)
"""It registers, although the kernelspec of its wheel does not say so. Others on xeus 6 say it."""
XEUS = Kind(name="xeus", implementations=("xeus",), in_order=True)
ARK = Kind(
    name="ark",
    programs=frozenset({"ark"}),
    display_names=frozenset({"Ark R Kernel"}),
    implementations=("ark",),
    registers=True,
    dialect="posit",
    in_order=True,
)
IRKERNEL = Kind(
    name="IRkernel", implementations=("irkernel",), in_order=True, lifts_limit=True, preparation=_IRKERNEL
)
DENO = Kind(name="deno", implementations=("deno kernel",), interrupt="message", mark="console.log('{}')")
"""Its kernelspec asks for a signal, of which it dies; the message is what it knows (deno issue 24491). What a
cell prints reaches it through a pipe, in its own time, as with evcxr."""
TSLAB = Kind(name="tslab", programs=frozenset({"tslab"}), after_heartbeat=True)

KINDS = (IPYKERNEL, WRAPPERS, APPLICATIONS, XEUS_PYTHON, XEUS_R, XEUS, ARK, IRKERNEL, DENO, TSLAB, DERIVED)
"""Every kind that is known; the first that fits counts."""

IPYKERNEL_ARGUMENTS = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
"""By which a Python starts its ipykernel; the connection file as in a kernelspec."""
IPYKERNEL_METADATA = {"debugger": True}
"""Metadata of its kernelspec, as ipykernel installs it."""

DESCRIPTORS = 128
"""With fewer descriptors allowed, their lack may be why a kernel did not come up: an ipykernel opens 62."""

SAID_ALWAYS = "[IPKernelApp] WARNING | Kernel is running over TCP without encryption."
"""The beginning of a line that every ipykernel prints which is told to use TCP: it explains nothing."""

NO_HISTORY = ("--HistoryManager.hist_file=:memory:",)
"""Arguments for an IPython that is to keep no history: many kernels at once would queue for one database."""

READ_AT_START = ("IPYTHON", "JUPYTER", "XDG_")
"""Beginnings of variables that an IPython reads as it starts, or that name folders to what does."""

WARM_EXPRESSIONS = {"warm": "1"}
"""See :meth:`Kind.warm_up`."""

_MOVE = """\
(lambda os, sys, cwd, env: (
    os.chdir(cwd),
    [os.environ.pop(name, None) if value is None else os.environ.update({{name: value}})
     for name, value in env.items()],
    __import__("time").tzset() if "TZ" in env else None,
    setattr(sys.modules["tempfile"], "tempdir", None) if "tempfile" in sys.modules else None,
    (lambda dh: dh.__setitem__(slice(None), [type(dh[0])(os.getcwd())]))(get_ipython().user_ns["_dh"]),
))(__import__("os"), __import__("sys"), *__import__("json").loads({said!r}))
"""

FORKABLE_MODULES = frozenset().union(*(kind.modules for kind in KINDS if kind.forkable))
"""What a template of moorage's can run by ``-m``."""


def kind_of(argv: Sequence[str], display_name: str = "") -> Kind:
    """Return the kind of kernel that a command starts.

    Args:
        argv: a kernelspec's command; of it counts what it starts itself, not what docker or ssh would start.
        display_name: the kernelspec's, where there is one.
    """
    return next((kind for kind in KINDS if kind.starts(argv, display_name)), OTHER)


def kind_by_reply(info: JsonMapping) -> Kind:
    """Return the kind of kernel that answers so.

    Args:
        info: its ``kernel_info_reply``.
    """
    return next((kind for kind in KINDS if kind.answers(info)), OTHER)


def could_not_bind(output: str) -> bool:
    """Tell whether a kernel that died says that it could not bind its Unix sockets, as pyzmq puts it.

    Args:
        output: what it printed.
    """
    return "ipc://" in output or "ZMQError" in output


def moving(cwd: str, env: Mapping[str, object]) -> str:
    """Return code that puts an IPython which runs already into other surroundings, and leaves no name behind.

    Args:
        cwd: its working directory.
        env: variables by name; None unsets one.
    """
    return _MOVE.format(said=json.dumps([cwd, dict(env)]))


def giving_arguments(words: Sequence[str]) -> str:
    """Return code that gives a Python kernel's ``sys.argv`` these words, and leaves no name behind."""
    return f"__import__('sys').argv[:] = {[*words]!r}"


_LIST = "https://github.com/jupyter/jupyter/wiki/Jupyter-kernels lists what there is"
_INSTALL_DENO = "deno jupyter --install"

INSTALL_COMMANDS: dict[str, str] = {
    "python": "pip install ipykernel",
    "bash": "pip install bash_kernel && python -m bash_kernel.install",
    "c++": "conda install -c conda-forge xeus-cpp",
    "gnuplot": "pip install gnuplot_kernel && python -m gnuplot_kernel install --user",
    "go": "go install github.com/janpfeifer/gonb@latest && gonb --install",
    "javascript": _INSTALL_DENO,
    "julia": "julia -e 'using Pkg; Pkg.add(\"IJulia\")'",
    "lua": "conda install -c conda-forge xeus-lua",
    "octave": "pip install octave_kernel",
    "powershell": "pip install powershell_kernel && python -m powershell_kernel.install",
    "r": "R -e 'install.packages(\"IRkernel\"); IRkernel::installspec()'",
    "ruby": "gem install iruby && iruby register --force",
    "rust": "cargo install evcxr_jupyter && evcxr_jupyter --install",
    "sql": "conda install -c conda-forge xeus-sql",
    "typescript": _INSTALL_DENO,
}
"""The command that installs a kernel, as the kernel's own instructions have it. None is run by moorage.

By language, as kernelspecs and jupytext spell it in lower case.
"""

NO_KERNEL = f"No kernel is installed here: try {INSTALL_COMMANDS['python']}"


def install_advice(language: str) -> str:
    """Return what to do where there is no kernel for a language: the command to type, or where to look."""
    command = INSTALL_COMMANDS.get(language.lower())
    return f"Type: {command}" if command else f"Install one: {_LIST}"
