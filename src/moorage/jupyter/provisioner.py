"""The kernel provisioner ``moorage``: every tool on jupyter_client starts its kernels here.

Found by the entry point group ``jupyter_client.kernel_provisioners``; used where
``JUPYTER_DEFAULT_PROVISIONER_NAME`` or a kernelspec's ``metadata.kernel_provisioner`` names it.

Source: "Customizing the kernel's runtime environment" in jupyter_client's documentation.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import CaselessStrEnum

from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import DeadlineExceeded, LaunchError, StartDeath
from moorage.exit_status import ExitStatus
from moorage.json_types import JsonObject
from moorage.jupyter.addresses import Addresses, Asked, agree
from moorage.jupyter.kernel_type import kernel_type
from moorage.jupyter.placing import placed
from moorage.jupyter.popen import process_options
from moorage.jupyter.process import KernelProcess, Streams, start
from moorage.jupyter.requested import Requested
from moorage.kernel.blocking import portal
from moorage.kernel.starting import REGISTERED
from moorage.kernel.supervisor import last_words
from moorage.kernel.zmq_closing import close_now
from moorage.kinds import could_not_bind
from moorage.places.base import Place
from moorage.places.here import Here
from moorage.process.base import KILL, Fork, LaunchSpec, LocalSpec
from moorage.process.environment import changed
from moorage.process.options import ProcessOptions
from moorage.rendezvous.base import Way
from moorage.rendezvous.choice import known_as
from moorage.rendezvous.ipc import NoSockets
from moorage.rendezvous.memory import memory

# Seconds a kernel may take to listen before launch_kernel returns all the same.
_PATIENCE = 60.0
# Stands for a connection file until the command is made: what is no path of this machine's stays as it is.
_FILE = "/{connection_file}"


class DiedStarting(StartDeath, RuntimeError):
    """The kernel ended before it listened; a RuntimeError because that is what Jupyter's tools catch."""


class NoSuchProgram(LaunchError, FileNotFoundError):
    """The kernel's program or its directory does not exist; what subprocess.Popen raises then, too."""


class MoorageProvisioner(LocalProvisioner):
    """Starts a manager's kernel where its kernel type says, at addresses that no other process can take.

    It is a local provisioner with another way to choose addresses and another owner of the process. Its
    coroutines may be awaited in any loop, a new one each time: the process belongs to the portal's.
    """

    parent: Any  # a jupyter_client.KernelManager, or None
    process: Any  # a PopenLike, or subprocess.Popen for an independent kernel
    connection_info: Any

    rendezvous = CaselessStrEnum(
        ["auto", "handshake", "self-bind", "hold", "ipc"],
        default_value="auto",
        config=True,
        help="How to agree with the kernel on addresses; 'auto' picks what suits it.",
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._portal = portal()
        self._addresses: Addresses | None = None
        self._kernelspec: KernelSpec | None = None
        self._place: Place = Here()
        self._owned: KernelProcess | None = None
        self._ways: tuple[Way, ...] = ()
        self._in_vain: frozenset[Way] = frozenset()
        self._extra: list[str] = []
        self._end_expected = False
        self._started_before = False

    async def pre_launch(self, **kwargs: Any) -> JsonObject:
        """Agree on addresses, write the connection file and make the command.

        Returns:
            the arguments for :meth:`launch_kernel`, ``cmd`` and ``env`` among them.

        Raises:
            LaunchError: no addresses can be had.
            UsageError: the configured rendezvous cannot work, or an argument cannot be honoured where the
                kernel runs.
        """
        if self.parent is None:
            placed(await self._kernel_type(), None, independent=True)
            return await super().pre_launch(**kwargs)
        try:
            return await self._prepared(**kwargs)
        except BaseException:
            if self.process is None:
                await self._release_addresses()
            raise

    async def _prepared(self, **kwargs: Any) -> JsonObject:
        manager = self.parent
        independent = bool(kwargs.get("independent"))
        process = None if independent else process_options(kwargs)
        given = changed({}, kwargs["env"]) if "env" in kwargs else None
        self._extra = kwargs.get("extra_arguments") or []
        addresses = await self._agreed_addresses(process, independent=independent)
        kwargs["env"] = dict(await addresses.prepare(manager, given))
        if independent:  # it is the child of no warden
            kwargs["env"].pop("JPY_PARENT_PID", None)
        if addresses.file is None:
            self.ports_cached = True  # chosen and held already: the cache would choose and let go
            prepared = await super().pre_launch(**kwargs)
            if not independent:
                await addresses.guard(manager)
            if (own := addresses.file_of_its_own(manager)) is not None:
                prepared["cmd"] = self._command(own)
            return prepared
        # Encryption is had where the addresses are known before.
        kwargs = {name: kwargs[name] for name in kwargs.keys() - {"extra_arguments", "transport_encryption"}}
        return await KernelProvisionerBase.pre_launch(self, cmd=self._command(addresses.file), **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the process and, where no caller would start it again, wait until it listens.

        Args:
            cmd: its command.
            kwargs: as for subprocess.Popen: cwd, env, stdin, stdout, stderr, user, group, extra_groups, umask
                and pass_fds; ``rlimits``; and ``independent`` for a kernel that shall outlive this process,
                which no warden can own.

        Returns:
            the connection information.

        Raises:
            DiedStarting: it ended before it listened.
            LaunchError: it cannot be started.

        Cancelling kills it.
        """
        if self._addresses is None or kwargs.get("independent"):
            return await super().launch_kernel(cmd, **kwargs)
        first = not self._started_before
        try:
            settled = self._addresses.settled
            await self._start(cmd, **kwargs)
            if self._addresses.file is not None:
                self.connection_info = await self._registered(**kwargs)
            if settled and not self._has_restarter():
                await self._while_alive(self._addresses.listening(self.parent))
        except BaseException as error:
            self._end_expected = True
            await self._end()
            await self._release_addresses()
            if not (first and isinstance(error, DiedStarting) and self._without_sockets(error)):
                raise
            return await self._start_otherwise("ipc", **kwargs)
        return self.connection_info

    async def post_launch(self, **kwargs: Any) -> None:
        """Have the manager's connection file deleted with this process, where it was written just now."""
        if self._addresses is not None and self._owned is not None:
            await self._addresses.guard(self.parent)
        await super().post_launch(**kwargs)

    async def wait(self) -> int | None:
        """Wait for the end of the process; then nothing of what it started is left either.

        Returns:
            its exit code, negative for a signal; 0 where there is none.

        Cancelling stops the waiting.
        """
        if self._owned is None:
            code = await super().wait()
            await self._drop_unsent()
            return code
        await self._owned.ended()
        return await self._end()

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel's process group; nothing happens if it has ended."""
        if self._owned is None:
            await super().send_signal(signum)
            return
        self._end_expected |= signum in (signal.SIGTERM, KILL)
        await self._owned.send_signal(signum)

    async def shutdown_requested(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the base's
        """Expect the end of the kernel; where it has ended already, drop the request that it should."""
        self._end_expected = True
        if self.process is None or self.process.poll() is not None:
            await self._drop_unsent()

    async def cleanup(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 - the base's
        """Let go of the addresses, unless the kernel is about to be started again or still lives."""
        if restart or (self.process is not None and self.process.poll() is None):
            return
        await self._end()
        await self._release_addresses()

    async def _agreed_addresses(self, process: ProcessOptions | None, *, independent: bool) -> Addresses:
        """Return the agreement on addresses, the same for every start until the final shutdown."""
        kernel = self._kernelspec
        if self._addresses is None or kernel is None:
            kernel = self._kernelspec = await self._kernel_type()
        place = self._place = placed(kernel, process, independent=independent)
        if self._addresses is not None:
            if not (why := self._addresses.obstacle(place)):
                return self._addresses
            self.log.warning("kernel %s gets new addresses: %s", self.kernel_id, why)
            await self._release_addresses()
        self._portal = portal()
        requested = Requested.of(self.parent)
        ways = ("hold",) if independent else requested.ways(self.parent, kernel, self.rendezvous, place)
        self._ways = tuple(way for way in ways if way not in self._in_vain) or ways
        while True:
            asked = Asked(kernel, place, self._ways[0], self.rendezvous)
            try:
                self._addresses = await agree(self._portal, self.parent, requested, asked)
            except NoSockets as error:
                if len(self._ways) == 1:
                    raise
                self.log.warning("kernel %s gets TCP ports: %s", self.kernel_id, error)
                self._ways = self._ways[1:]
            else:
                return self._addresses

    async def _release_addresses(self) -> None:
        addresses, self._addresses = self._addresses, None
        self.ports_cached = self._started_before = False
        if addresses is not None:
            await addresses.end(self.parent)

    async def _start(self, cmd: list[str], *, env: Mapping[str, str], **rest: Any) -> None:
        assert self._addresses is not None
        workspace = self._addresses.workspace
        spec = replace(
            workspace.process(rest.get("cwd"), env), argv=tuple(cmd), listens=self._addresses.listens
        )
        if isinstance(self._place, Here):
            spec = self._of_this_machine(spec, self._place)
        self.cwd = spec.cwd
        self._end_expected = False
        streams = Streams.of(*(rest.get(name) for name in ("stdin", "stdout", "stderr")))
        try:
            self._owned = await start(self._portal, workspace, spec, streams, on_end=self._ended)
        except LaunchError as error:
            if not isinstance(self._place, Here) or _is_there(spec):
                raise
            raise NoSuchProgram(error.what, why=error.why, do=error.do) from None
        self._started_before = True
        self.process = self._owned.popen
        self.pid = self.pgid = self.process.pid
        self.ip = self.parent.ip

    async def _registered(self, **kwargs: Any) -> JsonObject:
        """Wait for the addresses the kernel chooses; start it by another rendezvous if it reports none."""
        assert self._addresses is not None
        last = len(self._ways) == 1 or self._ways[0] != "handshake"
        if last:
            info = await self._while_alive(self._addresses.chosen())
        else:
            assert self._owned is not None
            info = await self._owned.while_alive(self._addresses.chosen(), REGISTERED)
        if info is not None:
            return dict(info)
        if last:
            raise DeadlineExceeded(
                f"the kernel {self.parent.kernel_name} reported no address within {_PATIENCE:g} s",
                do="Set MoorageProvisioner.rendezvous to hold",
            )
        self._end_expected = True
        await self._end()
        await self._release_addresses()
        found = await self._start_otherwise("handshake", **kwargs)
        assert self._kernelspec is not None
        # Not before: one that starts in no way at all may yet register.
        memory().remember(known_as(self._kernelspec), "does not register")
        return found

    def _without_sockets(self, error: DiedStarting) -> bool:
        """Whether a kernel ended because it could bind no Unix sockets, and may have ports."""
        found = len(self._ways) > 1 and self._ways[0] == "ipc" and could_not_bind(error.output)
        if found:
            self.log.warning("kernel %s gets TCP ports: %s", self.kernel_id, error)
        return found

    async def _start_otherwise(self, in_vain: Way, **kwargs: Any) -> JsonObject:
        """Start the kernel, of which nothing is left, by another rendezvous than one that did not work."""
        self._in_vain |= {in_vain}
        self.parent.cleanup_connection_file()  # it may tell the former addresses
        arguments = await self.pre_launch(extra_arguments=self._extra, **kwargs)
        info: JsonObject = await self.launch_kernel(**arguments)
        return info

    async def _while_alive(self, work: Any) -> Any:
        """Await work, at most until the process ends, which is an error."""
        assert self._owned is not None
        done = await self._owned.while_alive(work, _PATIENCE)
        if self.process.returncode is not None:
            status, output = await self._owned.exit_status_and_output()
            raise DiedStarting(
                f"the kernel {self.parent.kernel_name} died while starting: {status.describe()}",
                why=last_words(output) or "It wrote nothing",
                exit_status=status,
                output=output,
            )
        return done

    async def _end(self) -> int:
        """End all that is left of the process; returns its exit code, 0 where there is none."""
        owned, self._owned, self.process = self._owned, None, None
        code = 0 if owned is None else await owned.end()
        await self._drop_unsent()
        if self._addresses is not None:
            self._addresses.hold()
        return code

    async def _drop_unsent(self) -> None:
        """Drop what the manager sent and an ended process never read.

        The next kernel at the same address would get the request that the former one should end.
        """
        control = getattr(self.parent, "_control_socket", None)
        if control is not None and not control.closed:
            self.parent._control_socket = None  # noqa: SLF001 - it connects another when it needs one
            await close_now(control)

    def _ended(self, status: ExitStatus) -> None:
        """Hold its ports at once, and log the end if it was not asked for. In the portal's thread."""
        if self._addresses is not None:
            self._addresses.hold()
        if not self._end_expected:
            log = self.log.info if status.code == 0 else self.log.warning
            log("kernel %s (%s) ended: %s", self.kernel_id, self.parent.kernel_name, status.describe())

    def _of_this_machine(self, spec: LaunchSpec, place: Here) -> LocalSpec:
        """Add what a process of this machine has; ``~`` is expanded, as everywhere in Jupyter."""
        assert isinstance(spec, LocalSpec)
        argv = tuple(os.path.expanduser(word) for word in spec.argv)  # noqa: PTH111 - most words are no paths
        # A restart does not wait for a template to be made.
        fork: Fork | None = "made" if self._started_before and place.fork == "auto" else None
        return replace(spec, argv=argv, process=place.process, fork=fork)

    def _has_restarter(self) -> bool:
        """Whether a restarter watches the kernel, and has to find it dead itself."""
        return bool(getattr(self.parent, "restarter_class", None) and self.parent.autorestart)

    def _command(self, file: Path) -> list[str]:
        """Return the command with a connection file that is not the manager's, by its path for the kernel."""
        own, self.parent.connection_file = self.parent.connection_file, _FILE
        try:
            command: list[str] = self.parent.format_kernel_cmd(extra_arguments=self._extra)
        finally:
            self.parent.connection_file = own
        return [word.replace(_FILE, str(file)) for word in command]

    async def _kernel_type(self) -> KernelSpec:
        """Return what is launched: the kernelspec, or the kernel type that it stands for."""
        spec = self.kernel_spec
        return await kernel_type(spec, spec.name if self.parent is None else self.parent.kernel_name)


def _is_there(spec: LaunchSpec) -> bool:
    found = shutil.which(spec.argv[0], path=spec.env.get("PATH")) if spec.argv else None
    return found is not None and Path(spec.cwd).is_dir()
