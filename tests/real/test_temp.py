"""``moorage temp`` with real JupyterLab: over HTTP and websockets, and in a browser."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cli.test_temp_run import Temp, running
from command import DEADLINE, Command, typed_in, until
from real.test_plug_server import Notebook, Server
from temp.test_overlay import wheel

pytestmark = [pytest.mark.real, pytest.mark.slow]
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    folder.mkdir()
    cell = {"cell_type": "code", "execution_count": None, "id": "a", "metadata": {}, "outputs": []}
    spec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
    for name, code in (("index", "print('index', 6 * 7)"), ("other", "print('other', 6 * 7)")):
        text = json.dumps({**notebook, "cells": [{**cell, "source": [code]}]})
        (folder / f"{name}.ipynb").write_text(text)
    return folder


KEPT = """
import pathlib
home = pathlib.Path.home()
print(str(home).rpartition("/state")[2])
files = [path for path in (home / ".jupyter/lab").rglob("*") if path.is_file()]
print(*sorted(path.suffix for path in files))
"""


class Visit(Server):
    """One visitor's server, as its browser reaches it."""

    def __init__(self, temp: Temp, *, cookies: bool = True, offer: str = "") -> None:
        self.temp, self.notebooks = temp, []
        path = temp.server(offer)
        self.landing = path
        self.base = re.match(r"/user/\w+", path)[0]
        self.headers = {}
        if cookies:
            self.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in temp.cookies.items())

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.temp.port), timeout=DEADLINE)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        text = None if body is None else json.dumps(body)
        status, _, said = self.temp.ask(method, self.base + path, text)
        assert status < 300, (status, said)
        return json.loads(said) if said else None


class Open(Notebook):
    """A websocket to a kernel of a visitor's server."""

    def __init__(self, visit: Visit, kernel: str) -> None:
        self.websocket = pytest.importorskip("websocket")
        url = f"ws://127.0.0.1:{visit.temp.port}{visit.base}/api/kernels/{kernel}/channels"
        origin = f"http://127.0.0.1:{visit.temp.port}"
        self.socket = self.websocket.create_connection(
            url, socket=visit.connect(), header=visit.headers, origin=origin, timeout=DEADLINE
        )


@contextmanager
def open_notebook(visit: Visit) -> Iterator[Open]:
    kernel = visit.ask("POST", "/api/kernels", {"name": "python3"})["id"]
    notebook = Open(visit, kernel)
    try:
        notebook.hear()
        yield notebook
    finally:
        notebook.close()


def test_a_cell_runs_and_the_file_is_the_visitors_own(command: Command, content: Path) -> None:
    with running(command, "--content", content) as temp:
        visit = Visit(temp)
        assert visit.landing == f"{visit.base}/lab/tree/index.ipynb"
        with open_notebook(visit) as notebook:
            assert notebook.run("print(6 * 7)") == "42"
            assert notebook.run("import os; print(os.environ['HOME'])").endswith("/home")
            notebook.run("open('index.ipynb', 'w').write('changed'); print()")
            assert notebook.run("import os; print('AWS' in str(os.environ), os.getcwd())").startswith("False")
            assert visit.ask("GET", "/api/contents/index.ipynb?type=file")["content"] == "changed"
        assert "print" in (content / "index.ipynb").read_text()


def test_kernels_have_no_ports_and_no_history_and_the_second_is_forked(
    command: Command, content: Path
) -> None:
    with running(command, "--content", content) as temp:
        visit = Visit(temp)
        code = (
            "from ipykernel.kernelapp import IPKernelApp\n"
            "print(IPKernelApp.instance().transport, get_ipython().history_manager.enabled)"
        )
        with open_notebook(visit) as first, open_notebook(visit) as second:
            assert {each.run(code) for each in (first, second)} == {"ipc False"}
            parents = [each.run("import os; print(os.getppid())") for each in (first, second)]
            assert parents[0] == parents[1]
            assert "moorage_template" in str(command.left())
        files = [path.name for path in (command.runtime / "state").rglob("*")]
        assert "history.sqlite" not in files


def test_the_address_alone_opens_nothing_for_others(command: Command) -> None:
    with running(command) as temp:
        visit = Visit(temp)
        with open_notebook(visit) as notebook:
            assert notebook.run("print(1)") == "1"
            kernel = visit.ask("GET", "/api/kernels")[0]["id"]
            for headers in ({}, {"Authorization": "token x"}):
                stranger = dict(temp.cookies)
                temp.cookies = {}
                assert temp.ask("GET", visit.base + "/api/kernels", **headers)[0] == 404
                assert temp.ask("GET", visit.base + "/lab", **headers)[0] == 404
                temp.cookies = stranger
            visit.headers.pop("Cookie")
            with pytest.raises(notebook.websocket.WebSocketBadStatusException, match="404"):
                Open(visit, kernel)


@pytest.mark.parametrize("words", [(), ("--no-fork",)])
def test_what_jupyterlab_keeps_for_its_user_is_the_visitors_own(
    command: Command, words: tuple[str, ...]
) -> None:
    with running(command, *words) as temp:
        visit = Visit(temp)
        visit.ask("PUT", "/lab/api/workspaces/default", {"data": {}, "metadata": {"id": "default"}})
        visit.ask("PUT", "/lab/api/settings/@jupyterlab/apputils-extension:themes", {"raw": "{}"})
        with open_notebook(visit) as notebook:
            assert notebook.run(KEPT).split() == [
                f"/servers/{visit.base.rpartition('/')[2]}/home",
                ".jupyterlab-settings",
                ".jupyterlab-workspace",
            ]


def test_a_killed_service_costs_no_visitor_anything(command: Command, content: Path) -> None:
    with running(command, "--content", content) as temp:
        visit = Visit(temp)
        kernel = visit.ask("POST", "/api/kernels", {"name": "python3"})["id"]
        notebook = Open(visit, kernel)
        notebook.hear()
        assert notebook.run("x = 41; print(x)") == "41"
        temp.process.kill()
        temp.process.wait()
        with pytest.raises((notebook.websocket.WebSocketException, OSError)):
            notebook.until(lambda _: False)
        notebook.close()
    with running(command, "--content", content) as again:
        again.cookies = temp.cookies
        assert again.ask("GET", "/")[1] == visit.landing
        visit.temp = again
        notebook = Open(visit, kernel)
        try:
            notebook.hear()
            assert notebook.run("print(x + 1)") == "42"
        finally:
            notebook.close()
    assert until(lambda: not any(each.startswith("process") for each in command.left())), command.left()


def test_a_busy_kernel_is_use_and_an_open_websocket_is_none(command: Command) -> None:
    with running(command, "--idle", "10") as temp:
        with open_notebook(Visit(temp)) as notebook:
            assert notebook.run("import time; time.sleep(25); print('done')") == "done"
            assert "was not used" not in temp.said()
            assert until(lambda: "is ended: it was not used for 10 s" in temp.said(), DEADLINE)
        told = "Your last server has ended: it was not used for 10 s."
        assert until(lambda: told in temp.ask("GET", "/")[2], DEADLINE)


def test_a_server_that_shuts_itself_down_makes_room(command: Command) -> None:
    with running(command, "--capacity", "1") as temp:
        visit = Visit(temp)
        visit.ask("POST", "/api/shutdown")
        assert until(lambda: "has ended: exit code 0" in temp.said(), DEADLINE)
        assert "Your last server has ended: exit code 0." in temp.ask("GET", "/")[2]
        assert Visit(temp).base != visit.base


def test_a_package_is_added_for_servers_and_kernels(command: Command, tmp_path: Path) -> None:
    command.env |= {"UV_NO_INDEX": "1", "PIP_NO_INDEX": "1"}
    with running(command, "--with", wheel(tmp_path, "added", "7.0")) as temp:
        visit = Visit(temp)
        with open_notebook(visit) as first, open_notebook(visit) as second:
            assert [each.run("import added; print(added.version)") for each in (first, second)] == ["7.0"] * 2
            assert "environments" in first.run("import sys; print(sys.executable)")
            transport = "from ipykernel.kernelapp import IPKernelApp as a; print(a.instance().transport)"
            assert first.run(transport) == "ipc"  # by moorage's provisioner
        extensions = visit.ask("GET", "/lab/api/extensions")
        assert "jupyter-widgets" in str(extensions)  # one of the environment below
    assert not any("environments" in each for each in command.left())


# -- a browser -------------------------------------------------------------------------------------


class Chromium:
    """A browser that is killed in the end: asked to close a page, it may not answer for minutes."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        told = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
        (self._pid,) = (each["id"] for each in told if each["type"] == "browser")

    def new_context(self, **options: Any) -> Any:
        made = self._browser.new_context(**options)
        made.set_default_timeout(DEADLINE * 1000)
        return made

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._browser.close()


@pytest.fixture
def chromium() -> Iterator[Chromium]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium")
    words = ["--disable-gpu", "--disable-dev-shm-usage"] + (["--no-sandbox"] if os.geteuid() == 0 else [])
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=words)
        made = Chromium(browser)
        yield made
        made.end()


def run_first_cell(page: Any, text: str) -> None:
    ms = DEADLINE * 1000
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=ms)
    # The notebook's own indicator says idle before there is a kernel; a cell that is run then does not run.
    page.wait_for_selector("text=Python 3 (ipykernel) | Idle", timeout=ms)
    page.click(".jp-Notebook .jp-CodeCell .cm-content")
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector(f".jp-OutputArea-output:has-text('{text}')", timeout=ms)


def test_a_browser_gets_jupyterlab_and_another_browser_another(
    command: Command, content: Path, chromium: Chromium
) -> None:
    with running(command, "--content", content) as temp:
        origin = f"http://127.0.0.1:{temp.port}"
        ann = chromium.new_context(java_script_enabled=True)
        page = ann.new_page()
        page.goto(origin)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the button is the first thing that the keyboard reaches
        page.wait_for_url("**/user/*/lab/tree/index.ipynb")
        hers = page.url
        run_first_cell(page, "index 42")
        tab = ann.new_page()
        tab.goto(f"{origin}/spawn/lab/tree/other.ipynb")
        tab.wait_for_url("**/lab/**/other.ipynb*")
        assert tab.url.split("/")[4] == hers.split("/")[4]

        bob = chromium.new_context(java_script_enabled=False)
        his = bob.new_page()
        assert his.goto(hers).status == 404
        his.goto(f"{origin}/spawn/lab/tree/other.ipynb")
        assert his.inner_text("h1") == "Open other.ipynb"
        his.click("button")
        his.wait_for_url("**/user/*/lab/tree/other.ipynb")
        assert his.url.split("/")[4] != hers.split("/")[4]
        assert page.goto(his.url).status == 404
        chromium.end()


def test_a_visitor_chooses_an_offer_with_an_environment_of_its_own(
    command: Command, content: Path, chromium: Chromium, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    (site,) = (tmp_path / "env/lib").glob("python*/site-packages")
    # An environment that has what this one has, and one module more.
    (site / "all.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    (site / "only_here.py").write_text("answer = 'in its own'\n")
    (content / "own.ipynb").write_text(
        (content / "index.ipynb")
        .read_text()
        .replace("print('index', 6 * 7)", "import only_here as o; o.answer")
    )
    (command.cwd / "moorage.toml").write_text(f"""
        [temp.offers.plain]
        title = "Plain"
        [temp.offers.own]
        title = "Its own"
        python = "{tmp_path}/env"
        content = "{content}"
        open = "own.ipynb"
    """)
    with running(command, "--title", "Two courses") as temp:
        ann = chromium.new_context(viewport={"width": 400, "height": 800}, color_scheme="dark")
        page = ann.new_page()
        page.goto(f"http://127.0.0.1:{temp.port}")
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        for name in ("Plain", "Its own"):  # in the order of the keyboard
            page.keyboard.press("Tab")
            assert page.locator(":focus").get_attribute("name") == "offer"
            assert page.get_by_role("button", name=f"Open JupyterLab : {name}", exact=True).count() == 1
        page.keyboard.press("Enter")
        page.wait_for_url("**/user/*/lab/tree/own.ipynb")
        run_first_cell(page, "in its own")
        page.goto(f"http://127.0.0.1:{temp.port}/offer/plain")
        assert page.inner_text("h1") == "You have a server already"
        page.click("button:text-is('End it')")
        page.wait_for_selector("text=you ended it")
        page.click("button")
        page.wait_for_url("**/user/*/lab")
        chromium.end()


@pytest.mark.parametrize("server", ["lab", pytest.param("notebook", marks=pytest.mark.drill)])
def test_jupyter_tells_that_a_server_is_about_to_end_and_that_it_has_ended(
    command: Command, content: Path, chromium: Chromium, server: str
) -> None:
    if importlib.util.find_spec("notebook") is None:
        pytest.skip("Notebook is not installed")
    with running(command, "--content", content, "--server", server, "--max-age", "7200") as temp:
        origin = f"http://127.0.0.1:{temp.port}"
        ann = chromium.new_context(accept_downloads=True)
        page = ann.new_page()
        page.goto(origin)
        said = {"seconds": 300, "told": 600, "idle": False, "ended": None}  # for two hours would be long
        page.route("**/time-left?*", lambda route: route.fulfill(json=said))
        page.click("button")
        page.wait_for_url("**/user/**")
        notice = page.wait_for_selector("#moorage-notice:has-text('This server ends in')", state="visible")
        assert notice.get_attribute("role") == "status"
        with page.expect_download() as download:
            page.click("#moorage-notice >> text=Download your files")
        with zipfile.ZipFile(download.value.path()) as archive:
            assert "index.ipynb" in archive.namelist()
        page.unroute("**/time-left?*")

        tab = ann.new_page()
        tab.goto(f"{origin}/server")
        assert "It ends in 1 h 5" in tab.inner_text("header")
        tab.click("text=End it now")
        page.wait_for_selector("#moorage-notice:has-text('This server has ended: you ended it.')")
        page.click("#moorage-notice >> text=Get a new one")
        page.wait_for_selector("text=Your last server has ended: you ended it.")
        chromium.end()


def test_a_browser_without_script_waits_in_the_queue_and_is_let_in(
    command: Command, content: Path, chromium: Chromium
) -> None:
    with running(command, "--content", content, "--capacity", "1") as temp:
        origin = f"http://127.0.0.1:{temp.port}"
        temp.server()
        bob = chromium.new_context(java_script_enabled=False)
        page = bob.new_page()
        assert page.goto(f"{origin}/spawn/lab/tree/other.ipynb").status == 503
        page.click("text=Join the queue")
        page.wait_for_selector("h1:has-text('Place 1 in the queue')")
        assert page.reload().status == 503
        token = re.search(r'name="token" value="(\w+)"', temp.ask("GET", "/server")[2])[1]
        temp.ask("POST", "/end", f"token={token}&to=")
        page.wait_for_url("**/user/*/lab/tree/other.ipynb")  # by itself
        chromium.end()


def test_an_invitation_is_taken_and_refused_when_forged_or_used_up_or_expired(
    command: Command, content: Path, chromium: Chromium
) -> None:
    def invite(*words: object) -> str:
        return command("temp", "invite", "--state", command.runtime / "state", *words).stdout.strip()

    with running(command, "--content", content, "--invited-only") as temp:
        url = invite("--seats", 1, "--hours", 3, "--to", "lab/tree/other.ipynb")
        ann, bob = (chromium.new_context(java_script_enabled=each) for each in (True, False))
        his = bob.new_page()
        his.goto(f"http://127.0.0.1:{temp.port}")
        assert "By invitation only" in his.inner_text("main")
        assert his.locator("button").count() == 0
        forged = url.replace("~1~", "~9~")
        assert his.goto(forged).status == 404
        assert his.inner_text("h1") == "This is no invitation of this page"

        page = ann.new_page()
        page.goto(url)
        page.reload()
        assert page.inner_text("h1") == "Open other.ipynb"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/user/*/lab/tree/other.ipynb")
        run_first_cell(page, "other 42")
        tab = ann.new_page()  # the same browser, by the link again
        tab.goto(url)
        tab.wait_for_url("**/user/*/lab/**/other.ipynb*")
        assert tab.url.split("/")[4] == page.url.split("/")[4]

        assert his.goto(url).status == 403
        assert his.inner_text("h1") == "All seats of this invitation are taken"
        short = invite("--seats", 1, "--hours", 1 / 3600)
        his.goto(short)
        assert until(lambda: his.goto(short).status == 410, DEADLINE)
        assert his.inner_text("h1") == "This invitation has expired"
        assert his.locator("button").count() == 0
        chromium.end()
