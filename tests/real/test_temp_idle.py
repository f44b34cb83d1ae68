"""``moorage temp --idle`` with JupyterLab in Chromium: one page is at rest, in another keys are typed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from cli.test_temp_run import running
from command import DEADLINE, Command, until
from real.test_temp import Chromium, chromium, command, content, run_first_cell

pytestmark = [pytest.mark.real, pytest.mark.slow]
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
__all__ = ["chromium", "command", "content"]  # fixtures


def opened(chromium: Chromium, url: str) -> Any:
    page = chromium.new_context().new_page()
    page.goto(url)
    page.click("button", no_wait_after=True)
    page.wait_for_url("**/user/**", wait_until="commit")
    return page


@pytest.mark.drill
def test_an_untouched_tab_that_is_in_sight_is_ended_and_one_in_which_keys_are_typed_is_not(
    command: Command, content: Path, chromium: Chromium
) -> None:
    with running(command, "--content", content, "--idle", "45") as temp:
        origin = f"http://127.0.0.1:{temp.port}"
        busy = opened(chromium, f"{origin}/spawn/lab/tree/index.ipynb")
        run_first_cell(busy, "index 42")
        busy.click(".jp-Notebook .jp-CodeCell .cm-content >> nth=0")  # a new empty cell has the focus
        untouched = opened(chromium, f"{origin}/spawn/lab")

        typed, stored = 0.0, []
        untouched.on("request", lambda sent: sent.method == "PUT" and stored.append(sent.url))

        def key_and_state() -> bool:
            nonlocal typed
            if time.monotonic() > typed + 5:
                busy.keyboard.press("Control+Enter")  # runs the cell again
                typed = time.monotonic()
            assert untouched.evaluate("document.visibilityState") == "visible"
            return "was not used for 45 s" in temp.said()

        assert until(key_and_state, 2 * DEADLINE)
        assert stored, "the page was at rest"
        hers, its = (page.url.split("/")[4] for page in (busy, untouched))
        assert f"{its} is ended" in temp.said()
        assert f"{hers} is ended" not in temp.said()
        chromium.end()
