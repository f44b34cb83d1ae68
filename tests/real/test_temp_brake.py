"""Servers of ``moorage temp`` that compute without their visitors: a smaller share, a question, the whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cli.test_temp_run import TOY, Temp, running
from command import DEADLINE, Command, until
from real.test_temp import Chromium, chromium, content, run_first_cell
from real.test_temp_limits import WHY, command, groups
from real.test_temp_template import Visitor

__all__ = ["chromium", "command", "content"]  # fixtures
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux" or bool(WHY), reason=f"visitors cannot be bounded: {WHY}"),
]


def weight(folders: list[Path]) -> str:
    names = ("cpu.shares", "cpu.weight")
    (found,) = [path for folder in folders for name in names if (path := folder / name).exists()]
    return {"1024": "whole", "100": "whole", "102": "lowered", "10": "lowered"}[found.read_text().strip()]


def question(temp: Temp, server: str) -> dict[str, object]:
    return json.loads(temp.ask("GET", f"/time-left?server={server}")[2])["brake"]


def test_a_share_is_lowered_and_raised_also_after_the_service_was_killed(command: Command) -> None:
    with running(command, "--command", TOY, "--brake-after", "2") as temp:
        assert "computes for 2 s without its visitor is lowered to a tenth" in temp.said()
        visitor, other = Visitor(temp), Visitor(temp)
        path, quiet = visitor.server(), other.server()
        server = path.split("/")[2]
        folders = groups(command)
        assert visitor.ask("GET", f"{path}burn")[0] == 200
        assert until(lambda: question(visitor, server)["asked"], DEADLINE), temp.said()
        assert weight(folders[server]) == "lowered"
        assert weight(folders[quiet.split("/")[2]]) == "whole"
        assert "without you, and have a smaller share" in visitor.ask("GET", "/server")[2]
        found = {each["id"]: each["brake"] for each in json.loads(shown(command, "--json"))["servers"]}
        assert (found[server]["state"], found[server]["after"]) == ("asked", 2.0)
        assert found[quiet.split("/")[2]]["state"] == "full"
        assert "ready, braked and asked" in shown(command)
        temp.process.kill()
        temp.process.wait()
    with running(command, "--command", TOY, "--brake-after", "2") as temp:
        temp.cookies = visitor.cookies
        assert weight(folders[server]) == "lowered"
        assert temp.ask("POST", path, "x")[0] == 200  # what its visitor sends
        told = f"{server} has its whole share of the processors again"
        assert until(lambda: told in temp.said(), DEADLINE), temp.said()


@pytest.mark.slow
@pytest.mark.drill
def test_jupyterlab_asks_and_its_button_gives_the_whole_share_back(
    command: Command, content: Path, chromium: Chromium
) -> None:
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    first = content / "index.ipynb"
    first.write_text(first.read_text().replace("print('index', 6 * 7)", LOOP))
    with running(command, "--content", content, "--brake-after", "2") as temp:
        page, origin = chromium.new_context().new_page(), f"http://127.0.0.1:{temp.port}"
        page.goto(f"{origin}/spawn/lab/tree/index.ipynb")
        page.click("button")
        run_first_cell(page, "begun")
        ((server, folders),) = groups(command).items()
        before = temp.said().count("has its whole share")  # while it started, on a busy machine

        def asked() -> bool:
            told = page.request.get(f"{origin}/time-left?server={server}").json()
            return told["brake"]["asked"] and weight(folders) == "lowered"

        assert until(asked, DEADLINE), temp.said()
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # as when the tab is looked at
        page.wait_for_selector("#moorage-notice:has-text('without you, and have a smaller share')")
        assert page.locator("#moorage-notice >> text=Download your files").is_hidden()
        page.click("#moorage-notice >> text=Go on with the whole share")
        page.wait_for_selector("#moorage-notice", state="hidden")
        assert temp.said().count("has its whole share") > before
        chromium.end()


LOOP = "print('begun'); exec('while True: pass')"


def shown(command: Command, *more: str) -> str:
    return command("temp", "status", "--state", command.runtime / "state", *more, code=0).stdout
