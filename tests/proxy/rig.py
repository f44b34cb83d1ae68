"""A proxy in this process, servers behind it whose every byte a test decides, and visitors before it."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from moorage.proxy.listening import bind, bind_unix
from moorage.proxy.server import Proxy, open_proxy
from moorage.proxy.settings import ProxySettings
from moorage.proxy.tls import TlsFiles

PATIENCE = 60.0
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Rig:
    """A running proxy and where it listens: at a port, or on a Unix socket."""

    proxy: Proxy
    port: int
    path: str = ""

    async def connect(self) -> Visit:
        if self.path:
            return Visit(*await asyncio.open_unix_connection(self.path))
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        return Visit(reader, writer)

    async def ask(self, data: bytes) -> bytes:
        """Send bytes on a connection of their own; return everything that comes back until it is closed."""
        visit = await self.connect()
        try:
            visit.send(data)
            return await visit.rest()
        finally:
            await visit.close()

    async def get(self, path: str, *lines: str, method: str = "GET") -> Answer:
        visit = await self.connect()
        try:
            visit.send("\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode())
            return await visit.answer(bodiless=method == "HEAD")
        finally:
            await visit.close()

    async def settled(self, **kinds: int) -> None:
        """Wait until so many sockets of each kind are open; the loop tells of no such thing."""
        async with asyncio.timeout(PATIENCE):
            while {kind: self.proxy.core.budget.kinds[kind] for kind in kinds} != kinds:
                await asyncio.sleep(0.005)


@dataclass
class Answer:
    """One response."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Visit:
    """A visitor's connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(PATIENCE):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in fields}

    async def answer(self, *, bodiless: bool = False) -> Answer:
        status, fields = await self.head()
        async with asyncio.timeout(PATIENCE):
            if bodiless or status in {204, 304}:
                body = b""
            elif "content-length" in fields:
                body = await self.reader.readexactly(int(fields["content-length"]))
            elif "transfer-encoding" in fields:
                body = b""
                while size := int((await self.reader.readline()).split(b";")[0], 16):
                    body += await self.reader.readexactly(size)
                    await self.reader.readline()
                await self.reader.readline()
            else:
                body = await self.reader.read()
        return Answer(status, fields, body)

    async def rest(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def take(self, count: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(count)

    async def closed(self) -> bool:
        """Whether the proxy has closed it, without another byte."""
        try:
            return await self.rest() == b""
        except ConnectionError:
            return True

    async def close(self) -> None:
        self.writer.transport.abort()


@dataclass
class Origin:
    """A server behind the proxy."""

    handler: Handler
    url: str = ""
    connections: int = 0
    heads: list[str] = field(default_factory=list)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        try:
            await self.handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()


@asynccontextmanager
async def origin(handler: Handler, path: str = "") -> AsyncIterator[Origin]:
    """A server on a port, or on a Unix socket, that speaks as its handler does."""
    made = Origin(handler)
    if path:
        server = await asyncio.start_unix_server(made.serve, path, limit=1 << 20)
        made.url = f"unix:{path}"
    else:
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=1 << 20)
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        for writer in list(made.writers):
            writer.transport.abort()


async def read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines[1:] if line)
    return lines[0], {name.lower(): value.strip() for name, _, value in fields}


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with what it was, as configurable-http-proxy's test server does."""
    while True:
        line, fields = await read_head(reader)
        method, url, version = line.split(" ")
        length = int(fields.get("content-length", 0))
        body = (await reader.readexactly(length)).decode("latin-1")
        said = {"method": method, "url": url, "version": version, "headers": fields, "body": body}
        text = json.dumps(said).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(text), b"" if method == "HEAD" else text))
        await writer.drain()


def saying(data: bytes, *, end: bool = True) -> Handler:
    """A handler that answers every request with these bytes, and closes then, or not."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            writer.write(data)
            await writer.drain()
            if end:
                return

    return handler


async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Switch to websocket, and send every byte back."""
    await read_head(reader)
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@asynccontextmanager
async def proxied(
    *targets: str, settings: ProxySettings | None = None, front: str = "", **routes: str
) -> AsyncIterator[Rig]:
    """A proxy with a target for everything, or with routes; ``front`` is the path of a Unix socket."""
    async with open_proxy(settings or ProxySettings()) as proxy:
        bound = bind_unix(front) if front else bind("127.0.0.1", 0)[0]
        port = 0 if front else bound.getsockname()[1]
        await proxy.listen(bound)
        for target in targets:
            proxy.add_route("/", target)
        for path, target in routes.items():
            proxy.add_route(path, target)
        yield Rig(proxy, port, front)


@contextmanager
def dead() -> Iterator[str]:
    """The address of a server that there is not: the port is taken, and nothing listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def certificate(folder: Path) -> TlsFiles:
    """A certificate for localhost, made by openssl."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed here: it makes the certificate")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(made, check=True, capture_output=True)
    return TlsFiles(str(key), str(cert))
