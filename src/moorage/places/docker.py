"""Docker's engine, asked by HTTP through its Unix socket; podman's service speaks the same.

https://docs.docker.com/reference/api/engine/ has the requests. No version stands in a path, so the engine
answers as its newest one does: what is asked for here has been there since 1.25 (Docker 1.13, 2017).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from moorage.errors import LaunchError, UsageError
from moorage.json_types import JsonMapping, JsonObject

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that an answer may take: an engine starts many containers at once one after another."""
USUAL = Path("/var/run/docker.sock")
VARIABLE = "DOCKER_HOST"
_FRAME = 8
"""Bytes before each piece of what a container wrote: the stream, three zeros, the length."""


class EngineSilent(LaunchError):
    """The engine does not answer, or not in time."""


class EngineRefuses(LaunchError):
    """The engine does not do what it is asked for.

    Args:
        what: what it was asked for.
        status: of the answer.
        why: what the engine says.
    """

    def __init__(self, what: str, status: int, why: str) -> None:
        super().__init__(what, why=why)
        self.status = status


class ContainerState(msgspec.Struct, frozen=True, rename="pascal"):
    """What the engine tells of a container's first process; ``pid`` is 0 where none runs."""

    running: bool = False
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    out_of_memory: bool = msgspec.field(default=False, name="OOMKilled")


class _Network(msgspec.Struct, frozen=True):
    address: str = msgspec.field(default="", name="IPAddress")


class _Networks(msgspec.Struct, frozen=True):
    networks: dict[str, _Network] | None = msgspec.field(default=None, name="Networks")


class _Settings(msgspec.Struct, frozen=True):
    labels: dict[str, str] | None = msgspec.field(default=None, name="Labels")
    env: list[str] | None = msgspec.field(default=None, name="Env")


class Container(msgspec.Struct, frozen=True):
    """One container, as the engine tells of it."""

    id: str = msgspec.field(name="Id")
    state: ContainerState = msgspec.field(name="State", default=ContainerState())
    network: _Networks = msgspec.field(name="NetworkSettings", default=_Networks())
    settings: _Settings = msgspec.field(name="Config", default=_Settings())

    @property
    def address(self) -> str:
        """Where it is reached in its network; empty where it has none."""
        found = (each.address for each in (self.network.networks or {}).values())
        return next(filter(None, found), "")

    @property
    def labels(self) -> Mapping[str, str]:
        """What it is labelled with."""
        return self.settings.labels or {}


class _Listed(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="Id")


class _Image(msgspec.Struct, frozen=True):
    settings: _Settings | None = msgspec.field(name="Config", default=None)


class EngineInfo(msgspec.Struct, frozen=True, rename="pascal"):
    """What the engine tells of itself; ``memory_limit`` and ``cpu_cfs_quota`` are what it can bound."""

    server_version: str = ""
    security_options: list[str] | None = None
    memory_limit: bool = True
    cpu_cfs_quota: bool = True
    pids_limit: bool = True

    @property
    def rootless(self) -> bool:
        """Whether it is an ordinary user's, whose own id is 0 in containers."""
        return any("rootless" in each for each in self.security_options or ())

    @property
    def missing(self) -> list[str]:
        """What it cannot put between visitors, in sentences."""
        calls = any("seccomp" in each for each in self.security_options or ())
        lines = [] if calls else ["The engine filters no system calls"]
        return lines if self.pids_limit else [*lines, "The engine cannot bound how many processes there are"]

    @property
    def remapped(self) -> bool:
        """Whether user ids are others in containers, where there are 65536."""
        return any("userns" in each for each in self.security_options or ())


class Engine:
    """Asks one engine; made by :func:`open_engine`.

    Each method raises EngineSilent where there is no answer, EngineRefuses where it is that it cannot be.
    Cancelling ends the request, which may be carried out all the same.
    """

    def __init__(self, session: aiohttp.ClientSession, socket: Path) -> None:
        self._session = session
        self.socket = socket

    async def info(self) -> EngineInfo:
        """Return what it tells of itself."""
        return self._read(await self._asked("GET", "/info"), EngineInfo)

    async def variables(self, image: str) -> dict[str, str]:
        """Return the environment that an image brings along.

        Raises:
            EngineRefuses: with status 404 where the image is not there.
        """
        said = await self._asked("GET", f"/images/{quote(image, safe='/:@')}/json")
        found = self._read(said, _Image)
        words = (found.settings and found.settings.env) or []
        return dict(word.split("=", 1) for word in words if "=" in word)

    async def has_network(self, name: str) -> bool:
        """Tell whether there is a network of a name."""
        try:
            await self._asked("GET", f"/networks/{quote(name, safe='')}")
        except EngineRefuses as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True

    async def create(self, name: str, body: JsonMapping) -> None:
        """Make a container of a name, which does not run yet."""
        await self._asked("POST", "/containers/create", body, {"name": name})

    async def start(self, name: str) -> None:
        """Have a container run."""
        await self._asked("POST", f"/containers/{name}/start")

    async def inspect(self, name: str) -> Container:
        """Return what there is to know of a container."""
        return self._read(await self._asked("GET", f"/containers/{name}/json"), Container)

    async def wait(self, name: str) -> None:
        """Wait until a container has ended, however long that takes."""
        await self._asked("POST", f"/containers/{name}/wait", patience=None)

    async def said(self, name: str, lines: int = 200) -> str:
        """Return the last lines of what a container wrote."""
        query = {"stdout": "1", "stderr": "1", "tail": str(lines)}
        return _plain(await self._asked("GET", f"/containers/{name}/logs", query=query))

    async def remove(self, name: str) -> None:
        """End a container with all that runs in it, and remove it; one that is not there is well."""
        try:
            await self._asked("DELETE", f"/containers/{name}", query={"force": "1", "v": "1"})
        except EngineRefuses as error:
            if error.status == HTTPStatus.CONFLICT:  # it is being removed already
                await self._removed(name)
            elif error.status != HTTPStatus.NOT_FOUND:
                raise

    async def labelled(self, label: str, value: str) -> Sequence[str]:
        """Return the ids of all containers with a label, those among them that have ended."""
        filters = msgspec.json.encode({"label": [f"{label}={value}"]}).decode()
        said = await self._asked("GET", "/containers/json", query={"all": "1", "filters": filters})
        return [each.id for each in self._read(said, list[_Listed])]

    async def _removed(self, name: str) -> None:
        """Wait until a container that is being removed is."""
        try:
            await self._asked("POST", f"/containers/{name}/wait", query={"condition": "removed"})
        except EngineRefuses as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def _asked(
        self,
        method: str,
        path: str,
        body: JsonMapping | None = None,
        query: Mapping[str, str] | None = None,
        *,
        patience: float | None = PATIENCE,
    ) -> bytes:
        """Return the body of an answer."""
        what = f"Docker's engine at {self.socket} does not answer"
        try:
            async with (
                asyncio.timeout(patience),
                self._session.request(method, f"http://docker{path}", json=body, params=query) as answer,
            ):
                said = await answer.read()
        except TimeoutError:
            raise EngineSilent(what, why=f"There was no answer within {PATIENCE:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise EngineSilent(what, why=why) from None
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise EngineRefuses(f"Docker's engine refuses {method} {path}", answer.status, _reason(said))
        return said

    def _read(self, said: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(said, type=kind)
        except msgspec.MsgspecError as error:
            what = f"what is at {self.socket} does not speak the API of Docker's engine"
            raise EngineSilent(what, why=str(error)) from None


def _reason(said: bytes) -> str:
    try:
        return str(msgspec.json.decode(said, type=JsonObject)["message"]).strip()
    except (msgspec.MsgspecError, KeyError):
        return said.decode(errors="replace").strip()[:200]


def _plain(said: bytes) -> str:
    """Return what a container wrote, by its frames; as it is where there are none (podman, a terminal)."""
    text, rest = b"", said
    while rest:
        size = int.from_bytes(rest[4:_FRAME], "big")
        if rest[0] > 2 or rest[1:4] != bytes(3) or len(rest) < _FRAME:
            return said.decode(errors="replace")
        text += rest[_FRAME : _FRAME + size]
        rest = rest[_FRAME + size :]
    return text.decode(errors="replace")


def engine_socket(given: str | None, environ: Mapping[str, str]) -> Path:
    """Return the path of the engine's socket, which may not be there.

    Args:
        given: a path, or an address as DOCKER_HOST has it; None for what the environment says.
        environ: may have DOCKER_HOST.

    Raises:
        UsageError: it is an address of another kind.
    """
    text = given or environ.get(VARIABLE, "")
    if not text:
        mine = Path(environ.get("XDG_RUNTIME_DIR", "/nonexistent")) / "docker.sock"
        return mine if not USUAL.exists() and mine.exists() else USUAL
    parts = urlsplit(text)
    path = parts.path if parts.scheme else text
    if parts.scheme not in {"", "unix"} or parts.netloc or not path:
        name = "--docker-socket" if given else VARIABLE
        why = "A server is reached through a Unix socket in its container, on this machine"
        raise UsageError(f"{name} {text} cannot be", why=why, do="It is unix:///PATH")
    return Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are


@asynccontextmanager
async def open_engine(socket: Path) -> AsyncIterator[Engine]:
    """Yield what asks an engine; leaving the block closes its connections."""
    connector = aiohttp.UnixConnector(str(socket), limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Engine(session, socket)
