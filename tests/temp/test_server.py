"""One server, from its directory to its end."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moorage.temp.processes import ServerProcesses
from moorage.temp.record import Owner
from moorage.temp.server import Answers, Serving, run_server
from moorage.temp.settings import TempSettings
from moorage.temp.start_turns import StartTurns
from temp.rig import toy

pytestmark = pytest.mark.anyio


@pytest.fixture
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder:
        (Path(folder) / "servers").mkdir()
        yield Path(folder)


def told(take: Callable[[Serving], None]) -> Answers:
    """Return what has a function take a server that answers."""

    async def answers(serving: Serving) -> None:
        take(serving)

    return answers


async def ended(settings: TempSettings):
    served: list[Serving] = []
    processes = ServerProcesses(settings.state / "kept", 60.0)
    outcome = await run_server("s1", Owner("ann"), settings, processes, told(served.append), StartTurns(1))
    assert list((settings.state / "kept").glob("*")) == []
    assert list((settings.state / "servers").iterdir()) == []
    return outcome, served


@pytest.mark.parametrize(
    ("settings", "why", "said"),
    [
        ({"env": {"TOY": "die"}}, "exit code 3", "no licence for x"),
        ({"env": {"TOY": "mute"}, "start_timeout": 0.5}, "it did not answer within 0.5 s", ""),
        ({"content": Path("/nowhere")}, "cannot be made (E-OUTPUT). No such file", ""),
    ],
)
async def test_why_a_server_could_not_be_started(state: Path, settings, why: str, said: str) -> None:
    outcome, served = await ended(TempSettings(state=state, command=toy(), **settings))
    assert why in outcome.why
    assert said in outcome.said
    assert served == []


async def test_a_program_that_is_not_there(state: Path) -> None:
    from moorage.temp.commands import own_command

    outcome, _ = await ended(TempSettings(state=state, command=own_command("no-such-program {socket}")))
    assert "no-such-program" in outcome.why
    assert "E-LAUNCH" in outcome.why


async def test_a_token_is_not_told(state: Path) -> None:
    outcome, _ = await ended(
        TempSettings(state=state, command=toy("{socket}", "{token}"), env={"TOY": "tell"})
    )
    assert outcome.said == "my token is ...\n"


async def test_cancelled_again_and_again_nothing_is_left(state: Path) -> None:
    settings = TempSettings(state=state, command=toy())
    processes = ServerProcesses(state / "kept", 60.0)
    for turns in range(0, 12, 2):
        serving: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
        running = asyncio.ensure_future(
            run_server("s1", Owner(None), settings, processes, told(serving.set_result), StartTurns(1))
        )
        await serving
        running.cancel()
        for _ in range(turns):
            await asyncio.sleep(0.001)
            running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert list((state / "servers").iterdir()) == []
        assert list((state / "kept").glob("*")) == []


async def test_a_server_at_a_port_and_its_end_by_cancelling(state: Path) -> None:
    settings = TempSettings(state=state, command=toy("{port}", "{base_path}", "{token}"))
    serving: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
    processes = ServerProcesses(state / "kept", 60.0)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(
            run_server("s1", Owner("ann"), settings, processes, told(serving.set_result), StartTurns(1))
        )
        found = await serving
        port = int(found.record.target.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        assert f'"/user/s1", "{found.home.token}"' in text
        running.cancel()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)
    assert list((state / "servers").iterdir()) == []
