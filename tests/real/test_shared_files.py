"""Files that the front of ``moorage temp`` sends are those that a real JupyterLab would have sent."""

from __future__ import annotations

import aiohttp
import pytest

from moorage.plan.visits import ServerReady, VisitorId
from moorage.temp.commands import known_command
from moorage.temp.installed_files import shared_folders
from temp.rig import PATIENCE, Browser, Rig, service

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.anyio]
KINDS = {
    "application/javascript": "text/javascript",
    "application/font-woff": "font/woff",
    "application/x-font-ttf": "font/ttf",
    "image/vnd.microsoft.icon": "image/x-icon",
}
"""Older names, which Python and systems still know, by today's (RFC 9239, RFC 8081)."""
SUFFIXES = ("js", "woff", "woff2", "ttf", "svg", "ico")


def examples() -> list[str]:
    """One installed file of each kind in each folder, as its path below a server's URL."""
    found: dict[tuple[str, str], str] = {}
    for path, folders in shared_folders({}).items():
        if path == "static/notebook":
            continue  # only Notebook serves that
        pattern = "*.{}" if path == "static/favicons" else "*[0-9a-f]" * 16 + ".{}"
        for suffix in SUFFIXES:
            for folder in folders:
                for each in sorted(folder.rglob(pattern.format(suffix))):
                    found.setdefault((path, suffix), f"{path}/{each.relative_to(folder).as_posix()}")
    return list(found.values())


async def test_they_are_those_of_the_server() -> None:
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    async with service(known_command("lab")) as rig, rig.browser() as browser:
        await browser.follow(await browser.press())
        serving = next(iter(rig.service._serving.values()))
        has = rig.service.standing(VisitorId(serving.record.visitor))
        assert isinstance(has, ServerReady)
        connector = aiohttp.UnixConnector(str(serving.home.socket))
        asked = 0
        async with aiohttp.ClientSession(connector=connector) as direct:
            for path in examples():
                asked += await compared(rig, browser, direct, f"/user/{has.server}/{path}")
        assert asked >= 5


async def compared(rig: Rig, browser: Browser, direct: aiohttp.ClientSession, path: str) -> int:
    """Ask front and server for a file; they say the same, and the front has not asked the server."""
    counts = rig.service._proxy.core.counts
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with direct.get(f"http://localhost{path}", timeout=timeout) as answer:
        assert answer.status == 200, path
        body, kind = await answer.read(), answer.content_type
    before = counts["requests", 0]
    async with browser.session.get(browser.origin + path) as answer:
        assert answer.status == 200, path
        assert await answer.read() == body
        own = answer.content_type
        assert KINDS.get(kind, kind) == own, path
        assert ("immutable" in answer.headers["Cache-Control"]) == ("favicons" not in path)
    assert counts["requests", 0] == before
    return 1
