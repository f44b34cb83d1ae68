"""thebe on a page of another site, in Chromium: its cells run in a server of ``moorage temp``."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cli.test_temp_run import running
from command import DEADLINE, Command
from real.test_temp import Chromium, chromium, command
from real.test_temp_sleep import servers

pytestmark = [pytest.mark.real, pytest.mark.slow]
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
__all__ = ["chromium", "command"]  # fixtures

THEBE = Path(sys.prefix, "node", "thebe", "package", "lib")
HOW_TO = Path("docs/how-to/temp.md")


def page_of(how_to: Path, own: str) -> str:
    """Return the page that the how-to shows, with two cells of which the second needs the first.

    Args:
        how_to: has it.
        own: address of the service.
    """
    (shown,) = (
        each for each in re.findall(r"```html\n(.*?)```", how_to.read_text(), re.DOTALL) if "thebe" in each
    )
    shown = shown.replace("https://course.example.org", own)
    shown = re.sub(r"https://unpkg.com/thebe@[^/]*/lib", "thebe", shown)
    second = '<pre data-executable="true" data-language="python">print("second", kept + 1)</pre>'
    return "<!doctype html><title>Docs</title>" + shown.replace(
        "print(6 * 7)</pre>", f"kept = 6 * 7; print('first', kept)</pre>{second}"
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    """Another site; what it serves is to be put into its folder."""
    if not (THEBE / "index.js").exists():
        pytest.skip("thebe is not here: npm could not fetch it")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "thebe").symlink_to(THEBE)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("there", "here", "words"),
    [
        ("localhost", "127.0.0.1", ()),
        pytest.param("127.0.0.1", "localhost", ("--host-routing",), marks=pytest.mark.drill),
    ],
    ids=["paths", "hosts"],
)
def test_cells_of_a_page_run(
    command: Command,
    site: ThreadingHTTPServer,
    chromium: Chromium,
    there: str,
    here: str,
    words: tuple[str, ...],
) -> None:
    # Of another site, as a browser sees it: another name for this machine.
    origin = f"http://{there}:{site.server_port}"
    with running(command, "--spawn-from", origin, *words) as temp:
        (command.cwd / "site" / "index.html").write_text(page_of(HOW_TO, f"http://{here}:{temp.port}"))
        with chromium.new_context() as context, context.new_page() as page:
            page.set_viewport_size({"width": 1400, "height": 900})
            page.set_default_timeout(1000 * DEADLINE)
            page.goto(f"{origin}/index.html")
            for times in (1, 2):
                page.click("#run")
                page.wait_for_function("window.thebe.session?.kernel")
                page.click(".thebe-runall-button >> nth=0")
                for said in ("first 42", "second 43"):
                    page.wait_for_selector(f".jp-OutputArea-output:has-text('{said}')")
                page.reload()  # which forgets the outputs, and finds the server again
                assert len(servers(command)) == 1, f"a server for each of {times} presses"
            key = page.evaluate("JSON.parse(sessionStorage.getItem('moorage'))")
            status = f"{key['baseUrl']}api/status"
            asked = """async ([url, token]) => {
                const headers = { Authorization: `token ${token}` };
                return (await fetch(url, { headers }).catch(() => ({ status: "kept from it" }))).status;
            }"""
            assert page.evaluate(asked, [status, key["token"]]) == 200
            assert page.evaluate(asked, [status, f"{key['token']}0"]) == "kept from it"
            with context.new_page() as other:
                other.goto(f"http://{here}:{site.server_port}/index.html")  # a site that is not named
                assert other.evaluate(asked, [status, key["token"]]) == "kept from it"
            host, path = status.removeprefix("http://").split("/", 1)
            assert host == f"{here}:{temp.port}" or re.fullmatch(rf"\w+\.localhost:{temp.port}", host)
            # A browser without cookie and key gets nothing; at a host of its own it is asked who it is.
            assert temp.ask("GET", f"/{path}", Host=host)[0] == (303 if words else 404)
