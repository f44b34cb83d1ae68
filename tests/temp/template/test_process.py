"""One template, as the service sees it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from moorage.errors import KeeperLost
from moorage.keeper.start import start
from moorage.process import procfs
from moorage.temp.template.process import ServerTemplate

pytest.importorskip("jupyter_server", reason="Jupyter Server is not installed")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux alone"),
]


@asynccontextmanager
async def template(patience: float = 60.0, **env: str) -> AsyncIterator[ServerTemplate]:
    made = ServerTemplate("jupyter_server", {"PATH": os.environ["PATH"], **env}, patience)
    try:
        yield made
    finally:
        await made.aclose()
        assert made.reaped
        assert not procfs.look(made.pid)


async def test_it_becomes_ready_and_ends_when_it_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with template() as made:
        assert await made.ready() == ""
        assert made.alive
    assert (made.why, made.failed, made.hopeless, made.alive) == ("it was let go", False, False, False)
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]


async def test_one_that_fails_says_why_in_its_last_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "jupyter_server.py").write_text("import os; os.write(2, b'no licence\\n'); os._exit(4)")
    async with template(PYTHONPATH=str(tmp_path)) as made:
        assert await made.ready() == "its template ended (exit code 4): no licence"
        assert (made.failed, made.hopeless, made.alive) == (True, True, False)
    assert "no licence" in caplog.text
    assert caplog.records[-1].levelname == "WARNING"


async def test_one_that_was_killed_before_it_was_ready(caplog: pytest.LogCaptureFixture) -> None:
    async with template() as made:
        os.kill(made.pid, signal.SIGKILL)
        assert "SIGKILL" in await made.ready()
        assert made.failed


async def test_a_stopped_one_is_killed_and_what_it_was_asked_for_fails_at_once(tmp_path: Path) -> None:
    async with template(0.2) as made:
        assert await made.ready() == ""
        os.kill(made.pid, signal.SIGSTOP)
        with made.watched(), pytest.raises(KeeperLost):
            await start([sys.executable], directory=tmp_path, keeper=made.fork)
        await made.gone()
        assert made.why == "it forked nothing in 0.2 s"
        assert not made.failed


async def test_waiting_for_it_can_be_called_off() -> None:
    async with template() as made:
        waiting = asyncio.ensure_future(made.ready())
        await asyncio.sleep(0)
        waiting.cancel()
        assert await made.ready() == ""
