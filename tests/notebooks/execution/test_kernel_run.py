"""One notebook and its kernel: how its text is read, what it is started with."""

from __future__ import annotations

import json
import threading

import pytest

from command import printed, script, write
from contexts import Planned, planned
from moorage.notebooks.events import Outcome
from moorage.notebooks.execution import kernel_run
from moorage.notebooks.execution.attempt import Attempt
from moorage.notebooks.execution.rendering import Rendering

pytestmark = pytest.mark.anyio


async def run(planned: Planned, name: str) -> Outcome:
    item = planned.plan.items[name]
    return await Rendering(planned.context, item, Attempt(0, 1), lambda _: None).run()


async def test_a_document_that_takes_for_ever_to_read_fails(tmp_path, monkeypatch):
    ended = threading.Event()
    write(tmp_path, {"x.py": script("1")})
    monkeypatch.setattr(kernel_run, "load", lambda _: ended.wait())
    monkeypatch.setattr(kernel_run, "READ_SECONDS", 0.2)
    async with planned(tmp_path, ["x.py"], kernel="python3") as made:
        outcome = await run(made, "x.py")
    ended.set()
    assert (outcome.status, outcome.error.ename) == ("failed", "DocumentError")
    assert "takes longer than 0.2 s" in outcome.error.evalue


@pytest.mark.real
async def test_a_script_has_its_own_name_in_argv_and_a_notebook_what_the_kernel_has(tmp_path):
    cell = {"cell_type": "code", "source": "import sys; print(len(sys.argv) > 1)", "metadata": {}}
    made = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    write(tmp_path, {"x.py": script("import sys; print(sys.argv)"), "y.ipynb": json.dumps(made)})
    async with planned(tmp_path, ["x.py", "y.ipynb"]) as planned_:
        for name in ("x.py", "y.ipynb"):
            assert (await run(planned_, name)).status == "ok"
    assert printed(tmp_path / "out/x.ipynb") == "['x.py']\n"
    assert printed(tmp_path / "out/y.ipynb") == "True\n"
