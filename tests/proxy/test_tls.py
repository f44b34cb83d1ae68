"""Encrypted connections: of visitors, and to servers."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from moorage.errors import ConfigurationError
from moorage.proxy.listening import bind
from moorage.proxy.server import open_proxy
from moorage.proxy.settings import ProxySettings
from moorage.proxy.tls import TlsFiles, listener_context, target_context
from proxy.rig import Visit, certificate, echo, mirror, origin, proxied

pytestmark = pytest.mark.anyio
GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_visitors_over_tls(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=files.certificate)
    async with origin(echo) as server, open_proxy(ProxySettings()) as proxy:
        (bound,) = bind("127.0.0.1", 0)
        port = bound.getsockname()[1]
        await proxy.listen(bound, listener_context(files))
        proxy.add_route("/", server.url)
        visit = Visit(
            *await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="localhost")
        )
        visit.send(GET)
        headers = (await visit.answer()).json["headers"]
        assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == ("https", "443")
        visit.send(b"nonsense\r\n\r\n")
        assert (await visit.answer()).status == 400
        assert await visit.closed()
        await visit.close()


@pytest.mark.parametrize("case", ["trusted", "insecure", "stranger"])
async def test_servers_over_tls(tmp_path: Path, case: str) -> None:
    files = certificate(tmp_path)
    authority = files.certificate if case == "trusted" else ""
    context = target_context(TlsFiles(authority=authority), insecure=case == "insecure")
    server = await asyncio.start_server(mirror, "127.0.0.1", 0, ssl=listener_context(files))
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    async with server, proxied(url, settings=ProxySettings(target_tls=context)) as rig:
        visit = await rig.connect()
        visit.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert (await visit.head())[0] == (503 if case == "stranger" else 101)
        if case != "stranger":
            visit.send(b"\x81\x81maskx")
            assert await visit.take(7) == b"\x81\x81maskx"
        await visit.close()
        await rig.settled(visitor=0, upstream=0)


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    assert listener_context(TlsFiles()) is None
    (tmp_path / "empty").write_text("")
    for bad in (
        TlsFiles(certificate=str(tmp_path / "nowhere")),
        TlsFiles(certificate=str(tmp_path / "empty")),
        TlsFiles(files.key, files.certificate, ciphers="none-such"),
        TlsFiles(files.key, files.certificate, authority=str(tmp_path / "empty")),
    ):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            listener_context(bad)


def test_visitors_may_be_asked_for_a_certificate(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    for ask, demand, mode in (
        (False, False, ssl.CERT_NONE),
        (True, False, ssl.CERT_OPTIONAL),
        (True, True, ssl.CERT_REQUIRED),
    ):
        made = listener_context(
            TlsFiles(files.key, files.certificate, files.certificate, ask=ask, demand=demand)
        )
        assert made is not None
        assert made.verify_mode == mode
