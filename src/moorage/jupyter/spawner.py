"""The spawner ``moorage`` of JupyterHub: servers are forked, and outlive the hub.

Found by the entry point group ``jupyterhub.spawners``; used where jupyterhub_config.py has
``c.JupyterHub.spawner_class = "moorage"``. Source: JupyterHub's documentation, "Spawners", and its source.

docs/design/0023-hub-spawner.md says why it is done so.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import DeadlineExceeded, LaunchError, MissingExtra, MoorageError, StartDeath
from moorage.installed import install_line
from moorage.json_types import JsonObject
from moorage.jupyter.hub_servers import HubLimits, HubServer, HubServers, server_id
from moorage.jupyter.hub_users import HubUser, account_of, folder_user
from moorage.keeper.found import EndedCharge
from moorage.keeper.status import KeptStatus
from moorage.plan.targets import parse_target
from moorage.plan.visits import ServerId
from moorage.rendezvous.base import LOOPBACK
from moorage.rendezvous.hold import hold_port, port_of, share
from moorage.tasks import in_thread, result_of
from moorage.temp.processes import ServerStart
from moorage.temp.readiness import answering
from moorage.temp.template.choice import server_of


class NoJupyterHub(MissingExtra, ImportError):
    """JupyterHub is not installed; an ImportError because that is what tools catch that import modules."""


try:
    from jupyterhub.spawner import LocalProcessSpawner, Spawner
    from tornado.web import HTTPError
    from traitlets import Bool, Float, Unicode, default
except ImportError as error:
    raise NoJupyterHub(
        "the spawner needs JupyterHub", why="It is not installed here", do=f"Type: {install_line('hub')}"
    ) from error

PROGRAM = "jupyterhub-singleuser"
MODULE = "jupyterhub.singleuser"
DAY = 86_400.0
GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL when a server is stopped."""
LOST = 1
"""Exit status of a server whose own is not known."""
_SERVERS = "moorage_servers"
"""Among a hub's settings: what its spawners share."""


class StartFailed(HTTPError):
    """A server did not start; the hub's page shows ``jupyterhub_message``."""

    def __init__(self, error: MoorageError) -> None:
        super().__init__(500, str(error).replace("%", "%%"), reason="The server did not start")
        self.jupyterhub_message = str(error)


class MoorageSpawner(Spawner):
    """Starts each user's server under a keeper, forked where it can be."""

    users_dir = Unicode(
        help="""
        Folder in which each user has a folder of files, made at the first start; relative to the hub's.

        Empty: users are users of the system, as with LocalProcessSpawner. That is the default where the hub
        runs as root; elsewhere it is "users".
        """
    ).tag(config=True)
    servers_dir = Unicode(
        "moorage-servers",
        help="Folder of what is known of running servers, private; relative to the hub's. 80 bytes at most.",
    ).tag(config=True)
    lease = Float(DAY, help="Seconds for which servers live on while there is no hub; 0 for any time.").tag(
        config=True
    )
    fork = Bool(True, help="Fork servers from a template, where that can be.").tag(config=True)
    _moored: HubServer | None = None
    _kept = ""
    _groups: tuple[str, ...] = ()
    _messages: tuple[JsonObject, ...] = ()
    _news: asyncio.Future[None] | None = None
    _port_held = False
    _exit_status = 0

    @default("users_dir")
    def _users_dir_default(self) -> str:
        return "users" if os.geteuid() else ""

    @default("env_keep")
    def _env_keep_default(self) -> list[str]:
        kept: list[str] = LocalProcessSpawner._env_keep_default(self)  # noqa: SLF001 - a trait's default
        return kept

    @default("poll_interval")
    def _poll_interval_default(self) -> int:
        return 5  # one message on a Unix socket

    # -- what the hub writes down ------------------------------------------------------------------

    def load_state(self, state: JsonObject) -> None:
        """Take what :meth:`get_state` returned before the hub was restarted."""
        super().load_state(state)
        self._kept = str(state.get("kept", ""))
        self._groups = tuple(map(str, state.get("groups", ())))

    def get_state(self) -> JsonObject:
        """Return what finds the server again: the name of its keeper, and its control groups."""
        state: JsonObject = super().get_state()
        if self._kept:
            state |= {"kept": self._kept, "groups": [*self._groups]}
        return state

    def clear_state(self) -> None:
        """Forget the server, which is no more."""
        super().clear_state()
        self._moored, self._kept, self._groups = None, "", ()
        if self._port_held:
            self.port, self._port_held = 0, False

    # -- life ----------------------------------------------------------------------------------------

    async def start(self) -> tuple[str, int]:
        """Start the server, and return where it listens once it answers.

        Cancelling leaves nothing of it.

        Raises:
            StartFailed: as its words say, which the hub shows.
        """
        self._messages, self._exit_status = (), 0
        try:
            with self._listening() as listens:
                await self._start(listens)
        except MoorageError as error:
            raise StartFailed(error) from error
        return self.ip or LOOPBACK, self.port

    async def poll(self) -> int | None:
        """Return None while the server runs, else its exit status, negative for a signal's number."""
        if not self._kept:
            return self._exit_status  # the hub asks once more to tell of it
        try:
            status = await self._status()
        except DeadlineExceeded as error:
            self.log.warning("%s", error)
            return None
        if status is not None and not status.ended:
            return None
        self.clear_state()
        self._exit_status = self._ended(status)
        return self._exit_status

    async def stop(self, now: bool = False) -> None:  # noqa: FBT001, FBT002 - as Spawner has it
        """End the server with all it started; return when nothing is left but the user's files.

        Args:
            now: SIGKILL at once.
        """
        if not self._kept:
            return
        servers = self._servers()
        server = self._moored or await servers.look(self._name(), self._groups)
        if isinstance(server, HubServer):
            await servers.end(server, 0 if now else GRACE)
        self.clear_state()

    async def progress(self) -> AsyncIterator[JsonObject]:
        """Yield what is told while the server starts, from the first of it on; the hub ends it."""
        told = 0
        while True:
            for each in self._messages[told:]:
                told += 1
                yield each
            if told == len(self._messages):
                if self._news is None or self._news.done():
                    self._news = asyncio.get_running_loop().create_future()
                await result_of(self._news)

    async def move_certs(self, paths: dict[str, str]) -> dict[str, str]:
        """Give the files of ``internal_ssl`` to the user that the server runs as."""
        if (await self._user()).account:
            moved: dict[str, str] = await LocalProcessSpawner.move_certs(self, paths)
            return moved
        return paths

    # -- how -----------------------------------------------------------------------------------------

    async def _start(self, listens: Callable[[], None]) -> None:
        servers, user = self._servers(), await self._user()
        env, argv = self._environment(user), self._command()
        if own := bool(server_of(argv)):
            env.setdefault("JUPYTER_DEFAULT_PROVISIONER_NAME", "moorage")
        self._tell(20, "Waiting for the template of servers" if own and self.fork else "Starting the server")
        start = ServerStart(tuple(argv), user.home, env, process=user.process)
        limits = HubLimits(self.mem_limit or 0, self.cpu_limit or 0.0)
        server = await servers.start(self._name(), start, limits)
        try:
            self._tell(60, f"The server runs as process {server.process.pid}, and is about to answer")
            if not self.internal_ssl:
                await self._answers(server, env)
            listens()
        except BaseException:
            await servers.end(server, 0)
            raise
        self._moored, self._kept, self._groups = server, self._name(), server.groups
        self._tell(90, "The server answers")

    async def _answers(self, server: HubServer, env: dict[str, str]) -> None:
        """Wait until a server answers.

        Raises:
            StartDeath: it ended before.
        """
        at = LOOPBACK if self.ip in ("", "0.0.0.0", "::", "localhost") else self.ip  # noqa: S104 - compared
        target = parse_target(f"http://{f'[{at}]' if ':' in at else at}:{self.port}")
        try:
            asked = answering(target, f"{env['JUPYTERHUB_SERVICE_PREFIX']}api")
            await server.process.kept.while_running(asked)
        except StartDeath as error:
            raise StartDeath(
                f"the server of {self.user.name} ended before it answered ({error.why})",
                why=_last_line(error.output).replace(self.api_token, "..."),
                exit_status=error.exit_status,
                output=error.output,
            ) from error

    async def _status(self) -> KeptStatus | None:
        """Return how the server is; None where it was lost.

        Raises:
            DeadlineExceeded: its keeper does not answer.
        """
        servers = self._servers()
        if self._moored is None:
            found = await servers.look(self._name(), self._groups)
            if not isinstance(found, HubServer):
                return found.status if isinstance(found, EndedCharge) else None
            self._moored = found
        return await servers.status(self._moored)

    def _ended(self, status: KeptStatus | None) -> int:
        if status is None or status.exit_status is None:
            self.log.warning("The server of %s was lost", self._log_name)
            return LOST
        last = _last_line(status.output).replace(self.api_token or "\0", "...")
        self.log.warning("The server of %s ended (%s): %s", self._log_name, status.describe(), last)
        code, signum = status.exit_status.code, status.exit_status.signal
        return code if code is not None else -(signum or 0)

    def _servers(self) -> HubServers:
        """Return what all spawners of this hub share."""
        settings: dict[str, Any] = self.user.settings
        if _SERVERS not in settings:
            common = {name: os.environ[name] for name in self.env_keep if name in os.environ}
            directory = Path(self.servers_dir).absolute()
            settings[_SERVERS] = HubServers(directory, self.lease, fork=self.fork, common=common)
            if isinstance(self.log, logging.Logger):
                logging.getLogger("moorage").parent = self.log
            if not os.geteuid() and self.users_dir:
                self.log.warning("Servers run as root: each user can do what this hub can")
        found: HubServers = settings[_SERVERS]
        return found

    def _name(self) -> ServerId:
        return server_id(self._servers().directory, self.user.name, self.name)

    async def _user(self) -> HubUser:
        name, users = self.user.name, self.users_dir
        if not users:
            return await in_thread(lambda: account_of(name), name="look up a user")
        return await in_thread(lambda: folder_user(name, Path(users).absolute()), name="make a user's folder")

    def _environment(self, user: HubUser) -> dict[str, str]:
        env: dict[str, Any] = {**user.environment, **self.get_env()}
        return {name: str(value) for name, value in env.items()}

    def _command(self) -> list[str]:
        """Return program and arguments: where the program is this environment's, as it can be forked."""
        words = [*map(str, self.cmd), *map(str, self.get_args())]
        if words[:1] == [PROGRAM]:
            found = shutil.which(PROGRAM, path=os.environ.get("PATH"))
            if found is None or Path(found).parent == Path(sys.executable).parent:
                words[:1] = [sys.executable, "-P", "-m", MODULE]
        if not os.geteuid() and self.users_dir and MODULE in words and "--allow-root" not in words:
            words.append("--allow-root")
        return words

    @contextmanager
    def _listening(self) -> Iterator[Callable[[], None]]:
        """Have a port, and yield what is called once the server listens there."""
        if self.port:
            yield lambda: None
            return
        ip = LOOPBACK
        with suppress(ValueError):
            given = ipaddress.ip_address(self.ip)
            ip = str(given) if given.version == 4 and not given.is_unspecified else ip
        try:
            held = hold_port(ip)
        except OSError as error:
            raise LaunchError("no free port could be taken for a server", why=str(error)) from error
        with held:
            self.port, self._port_held = port_of(held), True
            yield lambda: share(held, False)

    def _tell(self, percent: int, message: str) -> None:
        self._messages = (*self._messages, {"progress": percent, "message": message})
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
