"""``moorage temp load`` as it runs, with servers that are up in milliseconds."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.test_temp_run import TOY, running, state_left
from command import Command, typed_in, until
from moorage.cli.main import build_parser
from moorage.cli.temp_load_run import progress, settings_of
from moorage.errors import UsageError
from moorage.load.crowd import Crowd, CrowdEnd
from moorage.load.measures import Sample
from moorage.load.steps import Step


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/"


def test_visitors_come_wait_and_go(command: Command) -> None:
    with running(command, "--command", TOY, "--capacity", "2") as temp:
        done = command(
            "temp", "load", url(temp.port), "--visitors", "3", "--within", "0", "--notebooks", "0",
            "--stay", "1", "--minutes", "2", "--json", "out.json", "--report", "out.html", code=0,
        )  # fmt: skip
        assert "3 visitors came, 3 were let in, 1 had to queue. None saw an error." in done.stdout
        assert done.stdout.splitlines()[0].split() == ["step", "n", "p50", "p95", "p99", "max", "errors"]
        said = json.loads((command.cwd / "out.json").read_text())
        assert said["visitors"] | {"came": 3, "let_in": 3, "queued": 1} == said["visitors"]
        steps = {each["step"]: each["count"] for each in said["steps"]}
        assert steps == {"front": 3, "button": 3, "queue": 1, "ready": 3, "end": 3}
        assert "3 were let in" in (command.cwd / "out.html").read_text()
        assert temp.said().count("you ended it") == 3
    assert state_left(command) == []


def test_ctrl_c_ends_with_what_was_measured(command: Command) -> None:
    with running(command, "--command", TOY) as temp:
        crowd = command.start(
            "temp", "load", url(temp.port), "--visitors", "2", "--within", "0", "--notebooks", "0",
            "--json", "-",
        )  # fmt: skip
        assert until(lambda: temp.said().count("answers") == 2, 60.0), temp.said()
        crowd.send_signal(signal.SIGINT)
        done = command.ended(crowd, code=130)
        said = json.loads(done.stdout)
        assert (said["interrupted"], said["visitors"]["came"]) == (True, 2)
        assert "2 visitors came" in done.stderr
        assert until(lambda: temp.said().count("you ended it") == 2, 60.0)
    assert state_left(command) == []


def test_an_error_is_told_with_its_step(command: Command) -> None:
    done = command("temp", "load", url(1), "--visitors", "2", "--within", "0", "--minutes", "1", code=1)
    assert "2 visitors came, 0 were let in. 2 visitors saw 2 errors." in done.stdout
    assert "2 x front page, by 2 of the visitors" in done.stdout
    assert "no answer Client" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--visitors", "0"), "1 or more"),
        (("--notebooks", "-1"), "0 or more"),
        (("--within", "-1"), "0 or more"),
        (("--minutes", "0"), "more than 0"),
        (("--pause", "nan"), "more than 0"),
    ],
)
def test_what_cannot_be(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        settings_of(build_parser().parse_args(["temp", "load", "localhost", *words]))


def test_settings_and_progress() -> None:
    parse = build_parser().parse_args
    settings = settings_of(parse(["temp", "load", "localhost:1/x", "--minutes", "2", "--visitors", "7"]))
    assert (settings.url, settings.seconds, settings.visitors) == ("http://localhost:1/x", 120, 7)


@pytest.mark.anyio
async def test_progress() -> None:
    settings = settings_of(build_parser().parse_args(["temp", "load", "localhost", "--visitors", "7"]))
    crowd = Crowd(settings, CrowdEnd())
    crowd.measures.came.add(1)
    crowd.measures.samples[Step.EXECUTE].append(Sample(1, 0.25))
    said = progress(crowd, settings)
    assert "1 of 7 came  0 on the way  0 in the queue  0 at work  0 errors  cells up to 250 ms" in said
