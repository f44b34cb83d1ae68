"""``moorage temp`` with real Jupyter servers where few descriptors are left: what was let in works on."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from cli.test_temp_descriptors import fitting, limited
from command import DEADLINE, Command, typed_in, until
from real.test_temp import Open, Visit, open_notebook

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and figures are Linux's"),
]
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


def test_visitors_with_two_kernels_each_work_on_while_others_wait(command: Command) -> None:
    with limited(command, 128, 160, "--capacity", 60) as temp, ExitStack() as stack:
        fit = fitting(temp)
        assert 2 <= fit <= 3
        visits, notebooks = [], []
        for _ in range(fit):
            temp.cookies = {}
            visit = Visit(temp)
            visits.append((visit, dict(temp.cookies)))
            notebooks += [stack.enter_context(open_notebook(visit)) for _ in range(2)]
            assert "/queue" not in visit.landing
        temp.cookies = {}
        status, _, page = temp.ask("GET", "/")
        assert (status, "Join the queue" in page) == (503, True)
        token = page.split('name="token" value="')[1].split('"')[0]
        location = temp.ask("POST", "/start", f"token={token}&to=")[1]
        assert location.startswith("/queue")
        assert temp.ask("GET", location)[0] == 503
        waiting = dict(temp.cookies)
        for _ in range(3):
            assert [each.run("print(6 * 7)") for each in notebooks] == ["42"] * len(notebooks)
        visit, temp.cookies = visits[0]
        assert visit.ask("GET", "/api/kernels")
        visit.ask("POST", "/api/shutdown")
        temp.cookies = waiting
        assert until(lambda: temp.ask("GET", location)[1].startswith(("/start", "/user/")), DEADLINE)
        assert notebooks[-1].run("print('still')") == "still"


def test_several_processes_lead_to_the_same_kernels(command: Command) -> None:
    with limited(command, 128, 160, "--capacity", 60, "--acceptors", 2) as temp, ExitStack() as stack:
        assert fitting(temp) > 3  # as many as fit where one process takes the visitors
        notebooks = []
        for _ in range(2):
            temp.cookies = {}
            visit = Visit(temp)
            notebooks += [stack.enter_context(open_notebook(visit)) for _ in range(2)]
            kernels = visit.ask("GET", "/api/kernels")
            notebooks += [stack.enter_context(closing(Open(visit, each["id"]))) for each in kernels]
            for each in notebooks[-2:]:
                each.hear()
        assert [each.run("print(6 * 7)") for each in notebooks] == ["42"] * len(notebooks)
