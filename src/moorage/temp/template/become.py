"""What a keeper's fork does to be a server that was started for itself, and how it ends."""
# ruff: noqa: E402 - what it imports is Linux's

from __future__ import annotations

import atexit
import gc
import os
import runpy
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from typing import NoReturn

assert sys.platform == "linux", "templates need /proc"

from moorage.keeper.process.record import MARKER
from moorage.process.template import after_fork
from moorage.process.template.main import shut
from moorage.process.warden import kept, tending
from moorage.process.warden.program import Program
from moorage.temp.template import homes
from moorage.temp.template.preloaded import NO_HOME, TOLD_BY_HUBS

PR_SET_DUMPABLE = 4


class ForkedServer:
    """Makes a server of a keeper's fork.

    Args:
        image: of the template's arguments in memory.
        before: the environment before the template's imports.
        held: descriptors that libraries need.
    """

    def __init__(self, image: after_fork.Image, before: after_fork.Before, held: set[int]) -> None:
        self._homes = homes.find(NO_HOME)
        self._told = {name: (text, homes.find(text)) for name, text in TOLD_BY_HUBS.items()}
        self.image = image
        self._before = before
        self._held = held

    def keeper_words(self, directory: str) -> list[bytes]:
        """Return the arguments that a keeper shows."""
        return [os.fsencode(sys.executable), b"-m", b"moorage.keeper.process.main", os.fsencode(directory)]

    def keep_kernels(self, door: int, marker: str) -> NoReturn:
        """Become the warden beside a server; see :data:`moorage.keeper.process.beside.BecomeWarden`.

        Args:
            door: descriptor of its listening socket.
            marker: the keeper's id, by which it is found should it outlive the keeper.
        """
        shut({0, 1, 2, door, *self._held})
        words = [os.fsencode(sys.executable), b"-m", b"moorage.process.warden.kept"]
        self.image.overwrite(words, {MARKER.encode(): marker.encode()})
        kept.main(door)

    def tend(self, door: str, orders: int, program: Program, marker: str) -> NoReturn:
        """Become the warden that tends a server behind walls; see :mod:`moorage.process.warden.tending`.

        Args:
            door: path of the socket at which it is to listen.
            orders: descriptor of the socket to the keeper.
            program: the first server.
            marker: the keeper's id.
        """
        shut({0, 1, 2, orders, program.report, *self._held})
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        bound.bind(door)
        words = [os.fsencode(sys.executable), b"-m", b"moorage.process.warden.tending"]
        self.image.overwrite(words, {MARKER.encode(): marker.encode()})
        tending.main(bound, orders, self.execute, program)

    def execute(self, argv: list[bytes], env: dict[bytes, bytes], report: int) -> NoReturn:
        """Become the server; see :data:`moorage.keeper.process.charge.Execute`.

        Args:
            argv: interpreter, flags, ``-m``, the server's module, its arguments.
            env: its environment.
            report: closed when its own code is about to run.
        """
        shut({0, 1, 2, report, *self._held})
        self.image.overwrite(argv, env)
        after_fork.surround(argv, env, self._before)
        after_fork.forget()
        reseed()
        home = os.fsdecode(env.get(b"HOME", b"/"))
        old = NO_HOME  # among what is renewed is the constant itself
        for each in self._homes:
            each.renew(old, home)
        for name, (text, places) in self._told.items():
            for each in places:
                each.renew(text, os.fsdecode(env.get(name.encode(), b"")))
        self.image.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # execve(2) does that for another user's process
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored, signal.SIG_IGN)
        gc.enable()
        module = os.fsdecode(argv[argv.index(b"-m") + 1])
        os.close(report)
        run(module)


def reseed() -> None:
    """Give this process random numbers of its own, where a library keeps its state; Python's own do so."""
    if (random := sys.modules.get("numpy.random")) is not None:
        random.seed()


def run(module: str) -> NoReturn:
    """Run a module as ``python -m`` does, and end as an interpreter does, without taking it apart."""
    code = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = exit_code(end)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except BaseException:  # noqa: BLE001 - boundary: told as an interpreter tells it
        traceback.print_exc()
    with suppress(BaseException):
        vars(threading)["_shutdown"]()  # what an interpreter ends with
        atexit._run_exitfuncs()  # noqa: SLF001 - as above, documented nowhere
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)


def exit_code(end: SystemExit) -> int:
    """Return the exit status that a SystemExit means; what is no number is written to stderr."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    sys.stderr.write(f"{end.code}\n")
    return 1
