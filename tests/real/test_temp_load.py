"""``moorage temp load`` with real JupyterLab and real kernels, and its report in a browser."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.test_temp_run import running
from command import Command, typed_in, until

pytestmark = [pytest.mark.real, pytest.mark.slow]
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")

CROWD = ("--visitors", "5", "--within", "5", "--notebooks", "2", "--minutes", "0.7", "--pause", "2")


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


@pytest.mark.drill
def test_five_visitors_work_and_none_sees_an_error(command: Command) -> None:
    with running(command, "--capacity", "5", "--spares", "1") as temp:
        url = f"http://127.0.0.1:{temp.port}/"
        # On a machine with much else to do a step may take its time; none is an error for that.
        done = command(
            "temp", "load", url, *CROWD, "--patience", "300", "--json", "out.json", "--report", "r.html"
        )
        assert done.code == 0, done.stdout + temp.said()
        said = json.loads((command.cwd / "out.json").read_text())
        assert said["visitors"]["came"] == said["visitors"]["let_in"] == 5
        counts = {each["step"]: each["count"] for each in said["steps"]}
        assert counts["page"] == counts["end"] == 5
        under_way = sum(each["step"] in {"notebook", "kernel", "first"} for each in said["unfinished"])
        assert counts["first"] + under_way == 10
        assert until(lambda: temp.said().count("you ended it") == 5)
    assert until(lambda: not any(each.startswith("process") for each in command.left())), command.left()
    look_at(command.cwd / "r.html")


def test_three_visitors_of_servers_with_host_names_see_no_error(command: Command) -> None:
    crowd = ("--visitors", "3", "--within", "3", "--notebooks", "1", "--minutes", "0.5", "--pause", "1")
    with running(command, "--host-routing", "--capacity", "3", "--spares", "1") as temp:
        url = f"http://127.0.0.1:{temp.port}/"  # which leads to the name
        done = command("temp", "load", url, *crowd, "--patience", "300", "--json", "out.json")
        assert done.code == 0, done.stdout + temp.said()
        said = json.loads((command.cwd / "out.json").read_text())
        assert said["visitors"]["came"] == said["visitors"]["let_in"] == 3
        assert said["errors"] == []
        counts = {each["step"]: each["count"] for each in said["steps"]}
        assert counts["page"] == counts["end"] == 3
        assert counts["kernel"] >= 1
        assert counts["poll"] >= 1
        assert until(lambda: temp.said().count("you ended it") == 3)
    assert until(lambda: not any(each.startswith("process") for each in command.left())), command.left()


def look_at(report: Path) -> None:
    """Look at the page as far as there is a browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        return
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        return
    words = ["--disable-gpu", "--disable-dev-shm-usage"] + (["--no-sandbox"] if os.geteuid() == 0 else [])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=words)
        for width in (400, 1400):
            fits(browser, report, width)
        browser.close()


def fits(browser: Any, report: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("figure").count() > 5
    assert told == []
    page.close()
