"""One notebook: by the cache or by a kernel, as its source is when its turn comes."""

from __future__ import annotations

import json
import shutil

import pytest

from command import printed, script, write
from contexts import Planned, planned
from moorage.notebooks.cache import environments, store
from moorage.notebooks.events import CellStarted, Outcome
from moorage.notebooks.execution.attempt import Attempt
from moorage.notebooks.execution.rendering import Rendering
from moorage.regular import raise_if_ended

pytestmark = pytest.mark.anyio


async def run(planned: Planned, name: str) -> tuple[Outcome, list[Outcome]]:
    released: list[Outcome] = []
    rendering = Rendering(planned.context, planned.plan.items[name], Attempt(0, 1), released.append)
    return await rendering.run(), released


@pytest.mark.real
async def test_it_runs_the_source_as_it_is_now_and_keeps_it_as_that(tmp_path):
    write(tmp_path, {"x.py": script("print('planned')")})
    async with planned(tmp_path, ["x.py"]) as made:
        write(tmp_path, {"x.py": script("print('edited')")})
        outcome, released = await run(made, "x.py")
        assert (outcome.status, outcome.output, outcome.attempts) == ("ok", "out/x.ipynb", 1)
        assert [each.status for each in released] == ["ok"]
        assert printed(tmp_path / "out/x.ipynb") == "edited\n"
        assert [event.index for event in made.events if isinstance(event, CellStarted)] == [1]
    async with planned(tmp_path, ["x.py"]) as made:
        assert (await run(made, "x.py"))[0].status == "cached"
        assert made.events == []
    write(tmp_path, {"x.py": script("print('planned')")})
    async with planned(tmp_path, ["x.py"]) as made:
        item = made.plan.items["x.py"]
        assert made.context.results.cache is not None
        from moorage.notebooks.execution.cached_result import CachedResult

        assert CachedResult(made.context, item, made.context.results.cache).finished() is None


@pytest.mark.real
async def test_a_kernel_that_dies_at_once_is_told_with_its_last_words(tmp_path, monkeypatch):
    spec = {
        "argv": ["python", "-c", "raise SystemExit('no luck today')"],
        "display_name": "D",
        "language": "d",
    }
    write(tmp_path, {"data/kernels/dying/kernel.json": json.dumps(spec), "x.py": script("1")})
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "data"))
    async with planned(tmp_path, ["x.py"], kernel="dying") as made:
        outcome, released = await run(made, "x.py")
    assert (outcome.status, outcome.attempts, released) == ("died", 1, [])
    assert "no luck today" in outcome.reason
    assert outcome.error.ename == "StartDeath"


async def test_a_program_that_is_not_there_is_a_failure_no_other_attempt_would_mend(tmp_path, monkeypatch):
    spec = {"argv": ["/nowhere/at/all"], "display_name": "D", "language": "d"}
    write(tmp_path, {"data/kernels/gone/kernel.json": json.dumps(spec), "x.py": script("1")})
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "data"))
    async with planned(tmp_path, ["x.py"], kernel="gone") as made:
        outcome, _ = await run(made, "x.py")
    assert (outcome.status, outcome.error.ename) == ("failed", "LaunchError")


async def test_a_source_that_went_away_fails_with_a_sentence(tmp_path):
    write(tmp_path, {"x.ipynb": "{}"})
    async with planned(tmp_path, ["x.ipynb"]) as made:
        (tmp_path / "x.ipynb").unlink()
        outcome, _ = await run(made, "x.ipynb")
    assert outcome.status == "failed"
    assert "(E-DOCUMENT)" in outcome.error.evalue


async def test_its_folder_that_went_away_fails_with_a_sentence(tmp_path):
    write(tmp_path, {"a/x.py": script("1")})
    async with planned(tmp_path, ["a/x.py"]) as made:
        shutil.rmtree(tmp_path / "a")
        outcome, _ = await run(made, "x.py")
    assert outcome.status == "failed"
    assert "(E-" in outcome.error.evalue


async def test_something_in_the_place_of_its_link_fails_it_and_stays(tmp_path):
    write(tmp_path, {"x.py": script("1"), "data.h5": "data", "start.h5": "mine"})
    write(tmp_path, {"moorage.toml": '[notebook."x.py"]\nneeds = [{file = "data.h5", as = "start.h5"}]\n'})
    async with planned(tmp_path, ["x.py"]) as made:
        outcome, _ = await run(made, "x.py")
    assert (outcome.status, outcome.error.ename) == ("failed", "OutputError")
    assert (tmp_path / "start.h5").read_text() == "mine"


async def test_reading_the_inputs_ends_at_the_deadline(tmp_path, monkeypatch):
    def read_for_ever(_):
        while True:
            raise_if_ended()

    said = """[notebook."x.py"]\ninputs = ["data"]\n"""
    write(tmp_path, {"x.py": script("1"), "data/x": "x", "moorage.toml": said})
    async with planned(tmp_path, ["x.py"], timeout=0.2) as made:
        monkeypatch.setattr(store, "digest_regular", read_for_ever)
        outcome, released = await run(made, "x.py")
    assert (outcome.status, released) == ("timeout", [])
    assert outcome.reason == "reading its inputs took longer than 0.2 s"


@pytest.mark.real
async def test_a_kernel_has_its_own_time_to_start(tmp_path):
    said = """[notebook."x.py"]\nstart-timeout = 0.001\n"""
    write(tmp_path, {"x.py": script("1"), "y.py": script("1"), "moorage.toml": said})
    async with planned(tmp_path, ["x.py", "y.py"], start_timeout="50s") as made:
        assert (await run(made, "x.py"))[0].status == "died"
        assert (await run(made, "y.py"))[0].status == "ok"


@pytest.mark.real
async def test_what_a_cell_writes_is_seen_by_the_notebooks_looked_up_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_RACY", 0)  # so that both notebooks are stored with one environment
    monkeypatch.setattr(environments, "LOOK_COUNTS", 3600.0)
    reads = "print(open('shared.txt').read())"
    write(tmp_path, {"shared.txt": "old", "a.py": script("1")})
    write(tmp_path, {f"{name}.py": script(f"# {name}", reads) for name in "bc"})
    async with planned(tmp_path, ["."]) as made:
        for name in "abc":
            assert (await run(made, f"{name}.py"))[0].status == "ok"
    write(tmp_path, {"a.py": script("print(open('shared.txt', 'w').write('new'))")})
    async with planned(tmp_path, ["."]) as made:
        assert (await run(made, "b.py"))[
            0
        ].status == "cached"  # its look at the file counts for others, until
        assert (await run(made, "a.py"))[0].status == "ok"
        assert (await run(made, "c.py"))[0].status == "ok"
    assert printed(tmp_path / "out/c.ipynb") == "new\n"
