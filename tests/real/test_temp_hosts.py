"""``moorage temp --host-routing`` in a browser: a plain web application, and JupyterLab."""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.test_temp_run import running
from command import Command, typed_in
from real.test_temp import Chromium, chromium, content, run_first_cell

__all__ = ["chromium", "content"]
pytestmark = [pytest.mark.real, pytest.mark.slow]

PAGE = """<!doctype html><title>One</title><h1>One</h1><a href="/two.html">Two</a><p id="said"></p>
<script>
document.cookie = "own=1";
document.cookie = "tossed=1; domain=localhost";
document.cookie = "moorage-visitor-x=1; domain=localhost; path=/";
fetch("/data.json").then(answer => answer.json()).then(data => { said.textContent = data.said; });
</script>"""
# What a page of a server can find out about others: the pages of the service, and a server beside it.
ASK_AROUND = """async ([pages, beside]) => {
  const found = [];
  for (const [url, options] of [
    [`${pages}/server`, { credentials: "include" }],
    [`${pages}/end`, { credentials: "include", method: "POST", body: new URLSearchParams({ to: "" }) }],
    [`${beside}/data.json`, { credentials: "include" }],
  ])
    found.push(await fetch(url, options).then(() => "read", () => "refused"));
  found.push(await new Promise((tell) => {
    const socket = new WebSocket(beside.replace("http", "ws") + "/x");
    socket.onopen = () => tell("open");
    socket.onerror = () => tell("refused");
  }));
  return found;
}"""


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


def test_an_application_that_knows_no_path(command: Command, chromium: Chromium, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text(PAGE)
    (site / "two.html").write_text("<title>Two</title><h1>Two</h1><a href='/'>One</a>")
    (site / "data.json").write_text(json.dumps({"said": "from the root"}))
    line = f"{sys.executable} -m http.server --bind 127.0.0.1 {{port}}"
    with running(command, "--command", line, "--content", site, "--host-routing", "--spares", "1") as temp:
        pages = f"http://localhost:{temp.port}"
        ann = chromium.new_context()
        page = ann.new_page()
        page.goto(f"http://127.0.0.1:{temp.port}/")
        assert page.url == f"{pages}/"
        page.click("button")
        page.wait_for_selector("text=from the root")
        hers = urlsplit(page.url)
        assert re.fullmatch(rf"[0-9a-f]{{16}}\.localhost:{temp.port}", hers.netloc)
        page.click("text=Two")
        page.wait_for_url(f"http://{hers.netloc}/two.html")
        # No cookie is for more than one host, whatever the page has tried.
        domains = {each["domain"] for each in ann.cookies()}
        assert domains == {"localhost", hers.hostname}
        named = {each["name"] for each in ann.cookies() if each["domain"] == "localhost"}
        assert all(each.startswith("moorage-visitor-") for each in named)
        assert "moorage-visitor-x" not in named
        assert page.evaluate("document.cookie") == "own=1"

        bob = chromium.new_context()
        other = bob.new_page()
        answer = other.goto(page.url)
        assert (answer.status, urlsplit(other.url).netloc) == (404, f"localhost:{temp.port}")
        other.goto(f"{pages}/spawn/two.html")
        other.click("button")
        other.wait_for_url("**/two.html")
        his = urlsplit(other.url).netloc
        assert his != hers.netloc
        assert page.evaluate(ASK_AROUND, [pages, f"http://{his}"]) == ["refused"] * 4
        assert other.goto(f"http://{his}/two.html").status == 200
        assert page.goto(f"http://{his}/").status == 404

        page.goto(f"{pages}/server")
        page.click("button:text-is('End it now')")
        page.wait_for_selector("text=you ended it")
        answer = page.goto(f"http://{hers.netloc}/two.html")
        assert (answer.status, "you ended it" in page.content()) == (404, True)
        page.click("button")  # what was asked for opens in a new one
        page.wait_for_url("**/two.html")
        assert urlsplit(page.url).netloc not in {hers.netloc, his}
        chromium.end()


def test_jupyterlab(command: Command, chromium: Chromium, content: Path) -> None:
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    with running(
        command, "--content", content, "--host-routing", "--acceptors", "2", "--max-age", "5000"
    ) as temp:
        ann = chromium.new_context(accept_downloads=True)
        page = ann.new_page()
        page.goto(f"http://localhost:{temp.port}")
        page.click("button")
        page.wait_for_url("**/lab/tree/index.ipynb")
        assert re.fullmatch(rf"[0-9a-f]{{16}}\.localhost:{temp.port}", urlsplit(page.url).netloc)
        run_first_cell(page, "index 42")
        # What the notice asks for and offers is at this host.
        page.wait_for_selector("#moorage-notice", state="attached")
        links = page.locator("#moorage-notice a").evaluate_all("all => all.map(each => each.pathname)")
        assert links == ["/.moorage/download", "/.moorage/front"]
        left = page.evaluate("fetch('/.moorage/time-left').then(answer => answer.json())")
        assert 0 < left["seconds"] <= 5000
        with page.expect_download() as download:
            page.evaluate("document.querySelector('#moorage-notice a').click()")
        assert zipfile.is_zipfile(download.value.path())
        page.goto(f"http://localhost:{temp.port}/server")
        page.click("text=Go to your JupyterLab")
        page.wait_for_url("**.localhost:*/lab/tree/index.ipynb")
        chromium.end()
