"""The result of one notebook in the cache."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from msgspec import structs

from command import script, write
from contexts import Planned, planned
from moorage.discovery.kernelspec import native
from moorage.kernel.launch import launch
from moorage.notebooks.cache.environment import RunEnvironment
from moorage.notebooks.cache.stored import Ran
from moorage.notebooks.documents.document import load
from moorage.notebooks.execution.cached_result import CachedResult, _recipe
from moorage.notebooks.execution.input_files import input_files

pytestmark = pytest.mark.anyio


async def recipe(folder, *sources: str, **flags):
    async with planned(folder, list(sources), **flags) as made:
        item = next(iter(made.plan.items.values()))
        return _recipe(made.context, item, input_files(item.file.path, item.settings))


def cached_result(made: Planned) -> CachedResult:
    assert made.context.results.cache is not None
    return CachedResult(made.context, made.plan.items["x.py"], made.context.results.cache)


async def test_what_is_said_about_the_notebook_is_part_of_its_recipe(tmp_path):
    configuration = '[notebook."x.py"]\nparam = {a = 1, b = 2}\nenv = {ONE = "1"}\ninputs = ["data/*.csv"]\n'
    write(tmp_path, {"x.py": script("1"), "moorage.toml": configuration, "data/t.csv": "1"})
    made = await recipe(tmp_path, "x.py", param=["b=3"], env=["TWO=2"], kernel_arg=["--x"])
    assert made.params == {"a": 1, "b": 3}
    assert made.env.items() >= {("ONE", "1"), ("TWO", "2")}
    assert (made.inputs, made.kernel_args) == (("data/t.csv",), ("--x",))


async def test_a_notebook_is_the_same_one_whichever_sources_are_named(tmp_path):
    write(tmp_path, {"moorage.toml": "", "a/x.py": script("1"), "b/y.py": script("2")})
    digests = {(await recipe(tmp_path, *sources)).digest for sources in (["."], ["a"], ["a/x.py"])}
    assert len(digests) == 1


async def test_the_same_text_elsewhere_is_another_notebook(tmp_path):
    write(tmp_path, {"moorage.toml": "", "a/x.py": script("1"), "b/x.py": script("1")})
    assert (await recipe(tmp_path, "a")).digest != (await recipe(tmp_path, "b")).digest


async def test_a_project_that_moved_keeps_its_recipes(tmp_path):
    one, two = (write(tmp_path / name, {"x.py": script("1"), "moorage.toml": ""}) for name in ("one", "two"))
    assert (await recipe(one, "x.py")).digest == (await recipe(two, "x.py")).digest


async def test_unknown_notebooks_are_a_miss(tmp_path):
    write(tmp_path, {"x.py": script("1")})
    async with planned(tmp_path, ["x.py"]) as made:
        document = load(tmp_path / "x.py")
        assert cached_result(made).finished() is None
        assert cached_result(made).outputs(document, native()) is None


@pytest.mark.real
async def test_what_was_stored_is_found_unless_everything_is_to_run(tmp_path):
    write(tmp_path, {"x.py": script("import helper"), "helper.py": "", "out/x.ipynb": "{}"})
    os.utime(tmp_path / "helper.py", (1, 1))
    async with planned(tmp_path, ["x.py"]) as made:
        notebook = load(tmp_path / "x.py").notebook
        for cell in notebook["cells"]:
            cell.update(outputs=[], execution_count=1)
        async with (
            launch(native(), cwd=tmp_path, warden=made.context.launching.warden.now) as kernel,
            cached_result(made).watched(kernel, print) as watching,
        ):
            await kernel.execute("import helper")
            environment = await cached_result(made).environment(kernel, notebook, watching, print)
        assert isinstance(environment, RunEnvironment)
        assert "helper.py" in environment.files
        ran = Ran(
            "python3", {"ipynb": b"{}"}, environment, written={"ipynb": tmp_path / "out/x.ipynb"}, seconds=1.0
        )
        cached_result(made).store(notebook, ran)
        assert made.notes == []
        hit = cached_result(made).finished()
        assert hit is not None
        assert hit.record.kernel == "python3"
        forced = structs.replace(made.context, settings=structs.replace(made.context.settings, force=True))
        assert cached_result(replace(made, context=forced)).finished() is None
        write(tmp_path, {"helper.py": "changed = 1"})
    async with planned(tmp_path, ["x.py"]) as made:
        assert cached_result(made).finished() is None


async def test_what_cannot_be_stored_is_a_notice(tmp_path):
    write(tmp_path, {"x.py": script("1")})
    async with planned(tmp_path, ["x.py"]) as made:
        cached_result(made).store(load(tmp_path / "x.py").notebook, Ran("python3", {}, "unknown"))
        assert made.notes == ["not cached: unknown"]


async def test_a_file_that_a_kernels_argument_names_is_part_of_the_recipe(tmp_path):
    write(tmp_path, {"x.py": script("1"), "conf.py": "c.x = 1"})
    arguments = [f"--config={tmp_path / 'conf.py'}", "--at=/no/such/file"]
    before = await recipe(tmp_path, "x.py", kernel_arg=arguments)
    assert before.kernel_args[:2] == tuple(arguments)
    assert (await recipe(tmp_path, "x.py", kernel_arg=arguments)).digest == before.digest
    write(tmp_path, {"conf.py": "c.x = 2"})
    assert (await recipe(tmp_path, "x.py", kernel_arg=arguments)).digest != before.digest
