"""``moorage temp`` behind nginx and Caddy with TLS, by the configurations of docs/how-to/temp.md.

nginx listens on a Unix socket here. Caddy tells nothing of a visitor that comes by one: it gets a port, below
those that the system gives to connections.
"""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cli.test_temp_run import Temp, running
from command import DEADLINE, Command, typed_in, until
from proxy.rig import certificate
from real.test_recipes import HOW_TO, block, typed
from real.test_temp import Open, Visit

pytestmark = [pytest.mark.real, pytest.mark.slow]
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")

PAGE = HOW_TO / "temp.md"
UNPACKED = Path(__file__).resolve().parents[2] / ".venv" / "debian"
NAME = "course.example.org"

NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""
CADDY = """
{{
    admin off
    storage file_system {folder}/storage
    skip_install_trust
    auto_https disable_redirects
    local_certs
}}
{site}
"""


def program(name: str) -> str:
    """Return the path of a program; skip the test where there is none."""
    found = shutil.which(name, path=f"{UNPACKED}/usr/sbin:{UNPACKED}/usr/bin") or shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} here")
    return found


def changed(text: str, *changes: tuple[str, str]) -> str:
    """Replace each text, which has to be there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def nginx(folder: Path, port: int) -> list[str]:
    """Write the page's configuration for nginx, and return the command that serves by it."""
    command = [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", f"{folder}/log"]
    files = certificate(folder)
    server = changed(
        block(PAGE, "nginx", under="Behind nginx or Caddy"),
        ("listen 443 ssl", f"listen unix:{folder}/s ssl"),
        ("127.0.0.1:8000", f"127.0.0.1:{port}"),
        ("/etc/letsencrypt/live/course.example.org/fullchain.pem", files.certificate),
        ("/etc/letsencrypt/live/course.example.org/privkey.pem", files.key),
    )
    user = "" if os.geteuid() else "user root;"  # the folder is private
    (folder / "nginx.conf").write_text(user + NGINX.format(folder=folder, server=server))
    return command


def caddy(folder: Path, port: int) -> list[str]:
    """Write the page's configuration for Caddy, and return the command that serves by it."""
    command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    (folder / "port").write_text(str(10_000 + secrets.randbelow(20_000)))
    site = changed(
        block(PAGE, "caddy", under="Behind nginx or Caddy"),
        ("127.0.0.1:8000", f"127.0.0.1:{port}"),
        (f"{NAME} {{", f"{NAME}:{(folder / 'port').read_text()} {{\n    bind 127.0.0.1"),
    )
    (folder / "Caddyfile").write_text(CADDY.format(folder=folder, site=site))
    return command


class Behind:
    """A browser that reaches ``moorage temp`` by HTTPS through a front."""

    server = Temp.server

    def __init__(self, temp: Temp, folder: Path) -> None:
        self.port, self.folder, self.cookies = temp.port, folder, {}
        port = folder / "port"
        self.host = f"{NAME}:{port.read_text()}" if port.exists() else NAME

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, _, port = self.host.partition(":")
        plain = socket.socket(socket.AF_INET if port else socket.AF_UNIX)
        plain.settimeout(DEADLINE)
        try:
            plain.connect(("127.0.0.1", int(port)) if port else str(self.folder / "s"))
            return context.wrap_socket(plain, server_hostname=NAME)
        except OSError:
            plain.close()
            raise

    def answers(self) -> bool:
        with suppress(OSError):
            return self.ask("GET", "/")[0] == 200
        return False

    def ask(self, method: str, path: str, body: str | None = None, **headers: str):
        """Return status, Location and text."""
        connection = http.client.HTTPConnection(self.host)
        connection.sock = self.connect()
        try:
            if method in {"POST", "PUT"}:
                headers.setdefault("Origin", f"https://{self.host}")
            headers |= {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            for field in answer.headers.get_all("Set-Cookie", []):
                assert "; Secure" in field or not field.startswith("moorage-"), field
                name, _, value = field.partition(";")[0].partition("=")
                self.cookies[name] = value
            return answer.status, answer.headers.get("Location", ""), answer.read().decode()
        finally:
            connection.close()


class Through(Visit):
    """A visitor's server, as its browser reaches it through a front."""

    def connect(self) -> socket.socket:
        return self.temp.connect()


class OpenThrough(Open):
    """A websocket through a front."""

    def __init__(self, visit: Through, kernel: str) -> None:
        self.websocket = pytest.importorskip("websocket")
        self.socket = self.websocket.create_connection(
            f"ws://{visit.temp.host}{visit.base}/api/kernels/{kernel}/channels",
            socket=visit.connect(),
            header=visit.headers,
            origin=f"https://{visit.temp.host}",
            timeout=DEADLINE,
        )


@contextmanager
def serving(command: Command, temp: Temp, front: Callable[[Path, int], list[str]]) -> Iterator[Behind]:
    """Have a front serve while the block lasts."""
    folder = command.runtime / "front"
    folder.mkdir()
    with (folder / "said").open("wb") as said:
        own = {"XDG_CONFIG_HOME": str(folder)}  # Caddy saves there what it was told
        process = command.launch(front(folder, temp.port), env=own, stdout=said, stderr=said)
        try:
            behind = Behind(temp, folder)
            ready = until(lambda: behind.answers() or process.poll() is not None, DEADLINE)
            assert ready, (folder / "said").read_text()
            assert process.poll() is None, (folder / "said").read_text()
            yield behind
        finally:
            process.terminate()
            process.wait(DEADLINE)
            shutil.rmtree(folder)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


@pytest.mark.parametrize("front", [nginx, caddy])
def test_a_cell_runs_and_cookies_are_secure(
    command: Command, front: Callable[[Path, int], list[str]]
) -> None:
    program(front.__name__)
    (typed_words,) = typed(PAGE, under="Behind nginx or Caddy")
    options = [word for word in typed_words[2:] if word not in {"--content", "course/"}]
    with running(command, *options) as temp, serving(command, temp, front) as behind:
        visit = Through(behind)
        kernel = visit.ask("POST", "/api/kernels", {"name": "python3"})["id"]
        notebook = OpenThrough(visit, kernel)
        try:
            notebook.hear()
            assert notebook.run("print(6 * 7)") == "42"
        finally:
            notebook.close()
        assert visit.ask(
            "PUT", "/api/contents/a.txt", {"type": "file", "format": "text", "content": "a" * 3_000_000}
        )
        foreign = {"Origin": "https://other.example.org"}
        # Without a body: Caddy 2.6 may cut a longer answer off while it looks whether more of one comes.
        assert behind.ask("POST", "/start", "", **foreign)[0] == 403
