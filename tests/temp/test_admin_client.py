"""What commands ask a running service."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moorage.errors import DeadlineExceeded, ProtocolError, UsageError
from moorage.plan.visits import UNNAMED, ServerReady, VisitorId
from moorage.temp import admin_client
from moorage.temp.admin_client import AdminClient
from moorage.wire.temp_admin import Settings
from temp.rig import PATIENCE, service

ANN = VisitorId("ann")


@pytest.mark.anyio
async def test_all_that_can_be_asked() -> None:
    async with service(capacity=3) as rig:
        client = AdminClient(rig.state)
        rig.service.ask(ANN, UNNAMED)
        has = await rig.service.settled(ANN, PATIENCE)
        assert isinstance(has, ServerReady)
        stats = await asyncio.to_thread(client.stats)
        assert (stats.visitors, stats.capacity, stats.draining) == (1, 3, False)
        (server,) = await asyncio.to_thread(client.servers)
        assert (server.id, server.state) == (has.server, "ready")
        changed = await asyncio.to_thread(client.change, Settings(capacity=5))
        assert changed.capacity == 5
        await asyncio.to_thread(client.drain)
        assert rig.service.visitors.draining
        await asyncio.to_thread(lambda: client.drain(undo=True))
        assert not rig.service.visitors.draining
        await asyncio.to_thread(client.end, server.id)
        await rig.emptied()
        with pytest.raises(UsageError, match=f"there is no server {server.id}"):
            await asyncio.to_thread(client.end, server.id)
        with pytest.raises(UsageError, match="capacity 0 cannot be: it must be 1 or more"):
            await asyncio.to_thread(client.change, Settings(capacity=0))


@contextmanager
def answering(answer: bytes) -> Iterator[Path]:
    """Yield a state directory in which something answers so, to one question."""
    with (
        tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder,
        socket.socket(socket.AF_UNIX) as bound,
    ):
        bound.bind(f"{folder}/admin")
        bound.listen()

        def answer_once() -> None:
            connection, _ = bound.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=answer_once)
        thread.start()
        yield Path(folder)
        thread.join()


def test_what_answers_something_else() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as state, pytest.raises(ProtocolError):
        AdminClient(state).stats()
    with (
        answering(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno") as state,
        pytest.raises(UsageError, match="no"),
    ):
        AdminClient(state).stats()
    with answering(b"nonsense\r\n") as state, pytest.raises(UsageError, match="no moorage temp runs"):
        AdminClient(state).stats()


def test_what_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_client, "ANSWER", 0.05)
    with (
        tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder,
        socket.socket(socket.AF_UNIX) as bound,
    ):
        bound.bind(f"{folder}/admin")
        bound.listen()
        with pytest.raises(DeadlineExceeded, match="does not answer within"):
            AdminClient(Path(folder)).stats()
        said: list[str] = []
        client = AdminClient(Path(folder), said.append)
        with pytest.raises(DeadlineExceeded, match="very busy, or hangs"):
            client.stats()
        assert said == ["The service is busy and has not answered for 0.05 s: it is asked again"] * 2
        with pytest.raises(DeadlineExceeded, match="it may do so yet"):  # asked once: it changes something
            client.drain()
        assert len(said) == 2


def test_where_no_service_runs(tmp_path: Path) -> None:
    for state in (tmp_path, tmp_path / ("x" * 200)):
        with pytest.raises(UsageError, match="no moorage temp runs with the state directory") as error:
            AdminClient(state).stats()
        assert error.value.why
        assert "--port" in error.value.do
