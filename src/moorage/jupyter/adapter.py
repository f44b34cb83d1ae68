"""The adapter: registers on behalf of a kernel that cannot.

``python -m moorage.jupyter.adapter --type TYPE -f FILE`` is the command of a kernelspec that
``moorage kernels install --adapt TYPE`` writes, so that a foreign launcher which wants a registration
(JEP 66) can start that kernel. Given a registration file, it holds five ports, starts the kernel with them,
and reports them once the kernel answers; it passes signals on, and ends as the kernel ends. The kernel is a
child of a warden of its own: whatever happens to the adapter, nothing stays behind. Given an ordinary
connection file, it becomes the kernel, unless the kernel type says how its processes are to be started. A
kernel type that runs elsewhere, or has a network of its own, has no ports to report, and is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from moorage import kernelside
from moorage.discovery.finder import find
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import KernelDied, MoorageError, UsageError
from moorage.exit_status import ExitStatus
from moorage.jupyter.placing import adapted
from moorage.kernel.zmq_client import zmq_client
from moorage.places.here import Here
from moorage.process.base import Handle, LocalSpec
from moorage.process.explain import explain
from moorage.process.warden.client import Warden
from moorage.rendezvous.files import write_connection_file
from moorage.rendezvous.hold import HoldRendezvous
from moorage.tasks import beside
from moorage.wire.connection import PORTS, ConnectionInfo

MODULE = "moorage.jupyter.adapter"

_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the kernel, and end as it ends.

    Args:
        arguments: without the program's name; default is the command line's.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__, allow_abbrev=False)
    parser.add_argument("--type", required=True, metavar="TYPE", help="the kernel type to start")
    parser.add_argument("-f", dest="file", type=Path, required=True, metavar="FILE", help="what it is given")
    options = parser.parse_args(arguments)
    try:
        spec = find(options.type)
        if MODULE in spec.argv:
            raise UsageError(f"{options.type} is an adapter itself", do="Name the kernel type it stands for")
        place = adapted(spec)
        terms = kernelside.terms(options.file)
        if terms is None and place.plain:
            _become(spec, options.file.absolute())
        status = asyncio.run(stand_in(spec, place, options.file.absolute(), terms))
    except (MoorageError, OSError) as error:
        sys.exit(f"error: {error}")
    _end_like(status)


async def stand_in(spec: KernelSpec, place: Here, file: Path, terms: kernelside.Terms | None) -> ExitStatus:
    """Start a kernel, register it where that is asked for, and wait for its end.

    Args:
        spec: the kernel's kernelspec.
        place: how it runs on this machine.
        file: the registration file, or the connection file that the kernel is given as it is.
        terms: what the registration file holds, by which the kernel gets ports that are held for it; None
            for the other.

    Returns:
        How the kernel ended. Cancelling ends it and all that it has started.

    Raises:
        LaunchError: it cannot be started, or there are no ports.
        DeadlineExceeded, ProtocolError: the registration is not acknowledged, or makes no sense.
    """
    async with AsyncExitStack() as stack:
        warden = await stack.enter_async_context(Warden.open())
        workspace = await stack.enter_async_context(replace(place, warden=warden).open())
        held = None
        if terms is not None:
            held = HoldRendezvous(workspace.directory, terms.key, spec.name, terms.ip)
            stack.callback(held.close)
            content = {**(await held.addresses()).to_dict(), "signature_scheme": terms.signature_scheme}
            write_connection_file(held.connection_file, content)
        # The warden is the parent that ipykernel watches.
        env = await workspace.enter(spec, {**os.environ, "JPY_PARENT_PID": str(warden.pid)})
        argv = spec.command(file if held is None else held.connection_file)
        process = replace(workspace.process(None, env), argv=argv, echo=(1, 2))
        handle = await stack.enter_async_context(workspace.launch(process))
        for name in _PASSED_ON:
            signum = getattr(signal, name)
            asyncio.get_running_loop().add_signal_handler(signum, handle.send_signal, signum)
        if held is not None and await _answers(info := await held.addresses(), handle):
            held.answered()
            await asyncio.to_thread(kernelside.register, file, {name: getattr(info, name) for name in PORTS})
        return await handle.wait()


async def _answers(info: ConnectionInfo, handle: Handle) -> bool:
    """Wait until the kernel answers; False when it has ended instead.

    A registration means that the ports are bound, and clients count on that: jupyter_client's takes a
    heartbeat that is missing at first for the kernel's death.
    """
    client = zmq_client(info).client

    async def watch() -> None:
        await handle.wait()
        client.fail(KernelDied("the kernel ended while starting"), for_good=True)

    async with client, beside(watch(), name="watch the kernel"):
        try:
            await client.ready()
        except KernelDied:
            return False
    return True


def _become(spec: KernelSpec, file: Path) -> NoReturn:
    """Replace this process by the kernel: what it was given suits it as it is."""
    argv = spec.command(file)
    try:
        os.execvpe(argv[0], argv, spec.environment(os.environ))  # noqa: S606 - a kernelspec's command is no shell's
    except OSError as error:
        process = LocalSpec(argv, str(Path.cwd()), dict(os.environ))
        raise explain(process, "exec", error.errno or 0) from None


def _end_like(status: ExitStatus) -> None:
    """End this process as the kernel ended, by the same signal if it was one."""
    if sys.platform != "win32" and status.signal is not None:
        import resource  # noqa: PLC0415 - not there on Windows

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one core file, the kernel's, is enough
        if status.signal not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(status.signal, signal.SIG_DFL)
        os.kill(os.getpid(), status.signal)
    sys.exit(1 if status.code is None else status.code)


if __name__ == "__main__":
    main()
