"""What a visitor of ``moorage temp --egress`` reaches of the network, from a terminal and a kernel."""

from __future__ import annotations

import functools
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.test_temp_run import running
from command import DEADLINE, Command, typed_in, until
from moorage.process.walls.probe import given
from real.test_temp import Visit, open_notebook
from real.test_temp_walls import CONNECT, terminal, two
from temp.test_overlay import wheel

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or bool(given().why), reason=f"no walls: {given().why}"),
]
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
HOST = "127.0.0.2"
"""Of this machine's loopback, and none that no_proxy names."""
PACKAGES = ("--env", "PIP_TARGET=/tmp/packages", "--env", "PYTHONPATH=/tmp/packages")
"""As docs/how-to/temp.md has it."""
FETCH = "import urllib.request as r; print(r.urlopen('http://%s:%d/said.txt').read().decode())"


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def host(folder: Path) -> Iterator[int]:
    """Yield the port of a host with the files of a folder."""
    handler = functools.partial(_Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder that is an index of packages, too."""
    folder = tmp_path / "files"
    (folder / "simple" / "demo").mkdir(parents=True)
    made = wheel(folder / "simple" / "demo", "demo", "1.0")
    (folder / "simple" / "demo" / "index.html").write_text(f'<a href="{made.name}">{made.name}</a>')
    (folder / "said.txt").write_text("hello")
    return folder


def test_pip_installs_from_a_host_that_is_named_and_no_other_is_reached(
    command: Command, files: Path
) -> None:
    with (
        host(files) as port,
        host(files) as other,
        running(command, "--egress", f"{HOST}:{port},*.example.org", *PACKAGES) as temp,
    ):
        assert f"Each may reach {HOST}:{port}, *.example.org, and nothing else of the network" in temp.said()
        ann, ben = two(temp)
        with terminal(ann) as hers:
            index = f"--index-url http://{HOST}:{port}/simple --trusted-host {HOST}"
            said = hers.run(f"{sys.executable} -m pip install -q --no-cache-dir {index} demo")
            assert "ERROR" not in said
            with open_notebook(ann) as notebook:
                assert notebook.run("import demo; print(demo.version)") == "1.0"
                assert notebook.run(FETCH % (HOST, port)) == "hello"
            curl = f'python3 -c "{FETCH % (HOST, other)}" 2>&1 | tail -1'
            assert (
                f"HTTP Error 403: {HOST}:{other} cannot be reached from here, only {HOST}:{port}"
                in hers.run(curl)
            )
            code = f"import urllib.request as r; r.urlopen('https://{HOST}:{other}/')"
            tunnel = f'python3 -c "{code}" 2>&1 | tail -1'
            assert f"Tunnel connection failed: 403 {HOST}:{other} cannot be reached" in hers.run(tunnel)
            for address, number in ((HOST, port), ("192.0.2.1", 80)):
                direct = hers.run(f'python3 -c "{CONNECT % (address, number)}" 2>&1 | tail -1')
                assert "refused" in direct or "unreachable" in direct
            sockets = hers.run("find / -type s -not -path '/proc/*' 2>/dev/null")
            assert ben.base.rpartition("/")[2] not in sockets
            assert hers.run("ls /proc | grep -c '^[0-9]'").isdecimal()
        assert "is refused: 127.0.0.2" in temp.said()
        shown = command("temp", "status", "--state", command.runtime / "state", "--port", "0").stdout
        assert "2 refused" in shown


def test_a_service_that_takes_over_leads_to_what_it_allows(command: Command, files: Path) -> None:
    with host(files) as port:
        with running(command, "--egress", f"{HOST}:{port}") as temp:
            visit = Visit(temp)
            with terminal(visit) as shell:
                assert shell.run(f'python3 -c "{FETCH % (HOST, port)}"') == "hello"
                fetch = f'python3 -c "{FETCH % (HOST, port)}" >again 2>&1 && grep -q hello again'
                shell.send(f"(sleep 1; until {fetch}; do sleep 0.1; done; echo >over) &")
            temp.process.kill()
            temp.process.wait()
        with running(command, "--egress", f"{HOST}:{port}") as again:
            again.cookies = temp.cookies
            visit.temp = again
            with terminal(visit) as shell:
                assert shell.run("while [ ! -e over ]; do sleep 0.1; done; cat again") == "hello"
            again.process.kill()
            again.process.wait()
        with running(command, "--egress", "example.org") as narrow:
            narrow.cookies = temp.cookies
            visit.temp = narrow
            with terminal(visit) as shell:
                said = shell.run(f'python3 -c "{FETCH % (HOST, port)}" 2>&1 | tail -1')
                assert "403" in said
                assert "only example.org" in said
    assert until(lambda: not any(each.startswith("process") for each in command.left()), DEADLINE), (
        command.left()
    )
