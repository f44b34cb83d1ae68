"""``moorage proxy`` as it runs: configurable-http-proxy's cases (test/cli_spec.js), and its end."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from command import Command, typed_in, until
from proxy.rig import certificate

TOKEN = {"Authorization": "token secret"}


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        text = json.dumps(
            {"url": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}
        ).encode()
        self.send_response(int(self.headers.get("X-Status", 200)))
        for name in ("Location",):
            if value := self.headers.get(f"X-{name}"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def target() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Running:
    """A running command, where it listens, and what it has said."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log
        self.port, self.api_port, self.metrics_port = 0, 0, 0

    def ready(self) -> Running:
        metrics = any("--metrics-" in str(word) for word in self.process.args)
        last = "Metrics at" if metrics else "Proxy API at"  # the last line that is looked for below
        assert until(lambda: last in self.said() or self.process.poll() is not None, 60.0)
        for name, pattern in (
            ("port", r"Proxying \w+://[^ ]*:(\d+)"),
            ("api_port", r"Proxy API at \w+://127[^ ]*:(\d+)/"),
            ("metrics_port", r"Metrics at \w+://127[^ ]*:(\d+)/"),
        ):
            if found := re.search(pattern, self.said()):
                setattr(self, name, int(found[1]))
        return self

    def said(self) -> str:
        return self.log.read_text()

    def ask(self, path: str, *, port: int = 0, method: str = "GET", body: str = "", **headers: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body or None, named)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def api(self, method: str, path: str, body: str = "") -> Any:
        return self.ask(path, port=self.api_port, method=method, body=body, **TOKEN)


@contextmanager
def running(folder: Path, *words: object, code: int = 0, listeners: bool = True) -> Iterator[Running]:
    own = ["--ip", "127.0.0.1", "--port", "0", "--api-ip", "127.0.0.1"] if listeners else []
    with typed_in(folder) as command, (folder / "log").open("wb") as log:
        process = command.start("proxy", *own, *words, stderr=log, env={"CONFIGPROXY_AUTH_TOKEN": "secret"})
        yield Running(process, folder / "log").ready()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert command.ended(process).code == code


def test_a_default_target_and_the_api(tmp_path: Path) -> None:
    with (
        target() as url,
        running(
            tmp_path, "--default-target", url, "--metrics-port", "0", "--metrics-ip", "127.0.0.1"
        ) as proxy,
    ):
        status, _, body = proxy.ask("/x?y")
        assert (status, json.loads(body)["url"]) == (200, "/x?y")
        assert proxy.api("POST", "/api/routes/user/ann", json.dumps({"target": url, "user": "ann"}))[0] == 201
        routes = json.loads(proxy.api("GET", "/api/routes")[2])
        assert (set(routes), routes["/user/ann"]["user"]) == ({"/", "/user/ann"}, "ann")
        assert proxy.ask("/api/routes", port=proxy.api_port)[0] == 403
        assert b"requests_web 1\n" in proxy.ask("/metrics", port=proxy.metrics_port)[2]
        assert "Adding route /user/ann" in proxy.said()
        assert "secret" not in proxy.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_and_nothing_is_left(tmp_path: Path, number: int) -> None:
    files = [tmp_path / name for name in ("pid", "front.sock", "api.sock", "metrics.sock")]
    words = [
        "--pid-file",
        files[0],
        "--socket",
        files[1],
        "--api-socket",
        files[2],
        "--metrics-socket",
        files[3],
    ]
    with running(tmp_path, *words, listeners=False) as proxy:
        assert all(file.exists() for file in files)
        assert files[0].read_text() == str(proxy.process.pid)
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.connect(str(files[1]))
            visitor.sendall(b"GET /_chp_healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert visitor.recv(100).startswith(b"HTTP/1.1 200 ")
            proxy.process.send_signal(number)
            assert proxy.process.wait(60) == 0
    assert not any(file.exists() for file in files)


def test_how_requests_are_changed(tmp_path: Path) -> None:
    words = [
        "--custom-header",
        "k1: v1",
        "--custom-header",
        " host : own ",
        "--no-x-forward",
        "--no-include-prefix",
    ]
    with target() as url, running(tmp_path, *words, "--auto-rewrite", "--protocol-rewrite", "https") as proxy:
        proxy.api("POST", "/api/routes/a", json.dumps({"target": f"{url}/path"}))
        _, _, body = proxy.ask("/a/b")
        said = json.loads(body)
        assert said["url"] == "/path/b"
        assert (said["headers"]["k1"], said["headers"]["host"]) == ("v1", "own")
        assert not any(name.startswith("x-forwarded") for name in said["headers"])
        _, headers, _ = proxy.ask("/a/b", X_Status="302", X_Location=f"{url}/c")
        assert headers["Location"] == f"https://127.0.0.1:{proxy.port}/c"


def test_error_pages(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "404.html").write_text("'D")
    with running(tmp_path, "--error-path", tmp_path / "pages") as proxy:
        assert proxy.ask("/nope")[2] == b"'D"
    with target() as url, running(tmp_path, "--error-target", url) as proxy:
        status, _, body = proxy.ask("/nope?x")
        assert (status, json.loads(body)["url"]) == (404, "/404?url=%2Fnope%3Fx")


def test_tls(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    words = ["--ssl-key", files.key, "--ssl-cert", files.certificate]
    words += ["--api-ssl-key", files.key, "--api-ssl-cert", files.certificate]
    with target() as url, running(tmp_path, *words, "--default-target", url) as proxy:
        context = ssl.create_default_context(cafile=files.certificate)
        for port, path, status in ((proxy.port, "/x", 200), (proxy.api_port, "/api/routes", 200)):
            connection = http.client.HTTPSConnection("localhost", port, timeout=60, context=context)
            connection.request("GET", path, headers=TOKEN)
            assert connection.getresponse().status == status
            connection.close()


@pytest.mark.parametrize("to", ["", "443", "8443"])
def test_http_is_led_to_https(tmp_path: Path, to: str) -> None:
    files = certificate(tmp_path)
    words = ["--ssl-key", files.key, "--ssl-cert", files.certificate, "--redirect-port", "0"]
    words += ["--redirect-to", to] if to else []
    with running(tmp_path, *words) as proxy:
        found = re.search(r"Redirecting http://127[^ ]*:(\d+) to HTTPS at port (\d+)", proxy.said())
        assert found is not None
        assert found[2] == (to or str(proxy.port))
        status, headers, _ = proxy.ask("/a/b?c=d", port=int(found[1]), Host="hub.example:8080")
        port = "" if to == "443" else f":{found[2]}"
        assert (status, headers["Location"]) == (301, f"https://hub.example{port}/a/b?c=d")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--error-target", "http://a", "--error-path", "x"], "--error-target does not go with --error-path"),
        (["--socket", "x", "--port", "1"], "--socket does not go with"),
        (["--api-socket", "x", "--api-port", "1"], "--api-socket does not go with"),
        (["--default-target", "nowhere"], "'nowhere' is no target"),
        (["--custom-header", "nocolon"], "is no field that can be added"),
        (["--timeout", "0"], "--timeout 0 cannot be"),
        (["--error-path", "nowhere"], "cannot be read"),
        (["--ssl-cert", "nowhere"], "the TLS files nowhere cannot be used"),
        (["--storage-backend", "x"], "--storage-backend is not supported"),
        (["--port", "x"], "--port x cannot be"),
        (["--redirect-port", "0"], "--redirect-port needs --ssl-key"),
        (["--redirect-to", "1"], "--redirect-to goes with --redirect-port"),
        (
            ["--redirect-port", "0", "--redirect-to", "65536", "--ssl-key", "x"],
            "--redirect-to 65536 cannot be",
        ),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(tmp_path: Path, words: list[str], says: str) -> None:
    with typed_in(tmp_path) as command:
        own = [] if "--socket" in words else ["--ip", "127.0.0.1"]
        own += [] if {"--port", "--socket"} & set(words) else ["--port", "0"]
        done = command("proxy", *own, *words)
        assert (done.code, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")
        assert says in done.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with running(tmp_path) as proxy, typed_in(tmp_path) as command:
        done = command("proxy", "--ip", "127.0.0.1", "--port", proxy.port, code=2)
        assert f"cannot listen on 127.0.0.1:{proxy.port} (E-USAGE)" in done.stderr


def test_descriptors_run_short(tmp_path: Path) -> None:
    """At 128 descriptors websockets get what fits, others a 503, and the interface goes on answering."""
    mirror = (
        "import asyncio\n"
        "from proxy.rig import mirror\n"
        "async def main():\n"
        "    server = await asyncio.start_unix_server(mirror, 'back.sock')\n"
        "    print('ready', flush=True)\n"
        "    await server.serve_forever()\n"
        "asyncio.run(main())\n"
    )
    with typed_in(tmp_path) as command:
        back, front = start_short_of_descriptors(command, tmp_path, mirror)
        upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        answers: list[bytes] = []
        visitors = []
        for _ in range(150):
            visitor = socket.create_connection(("127.0.0.1", front.port), timeout=60)
            visitor.sendall(upgrade)
            answers.append(visitor.recv(12))
            if answers[-1].endswith(b"101"):
                visitors.append(visitor)
            else:
                visitor.close()
            if len(answers) % 10 == 0:
                assert front.api("GET", "/api/routes")[0] == 200
        assert set(answers) == {b"HTTP/1.1 101", b"HTTP/1.1 503"}
        assert 35 <= len(visitors) <= 55
        assert answers.index(b"HTTP/1.1 503") == len(visitors)
        # A storm of visitors that stay to be refused does not use up what the interface needs.
        storm = [socket.create_connection(("127.0.0.1", front.port), timeout=60) for _ in range(300)]
        assert front.api("GET", "/api/routes")[0] == 200
        assert front.api("POST", "/api/routes/x", '{"target": "http://127.0.0.1:1"}')[0] == 201
        for visitor in (*visitors, *storm):
            visitor.close()
        assert until(lambda: asked(front.port, upgrade).endswith(b"101"))
        for process in (front.process, back):
            process.send_signal(signal.SIGTERM)
        assert command.ended(front.process).code == 0
        back.wait(60)


def asked(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as visitor:
        visitor.sendall(data)
        return visitor.recv(12)


def start_short_of_descriptors(
    command: Command, folder: Path, mirror: str
) -> tuple[subprocess.Popen[bytes], Running]:
    import sys

    back = command.launch([sys.executable, "-c", mirror], env={"PYTHONPATH": str(Path(__file__).parents[1])})
    assert back.stdout is not None
    assert back.stdout.readline() == b"ready\n"
    words = ["proxy", "--ip", "127.0.0.1", "--port", "0", "--api-ip", "127.0.0.1"]
    words += ["--default-target", f"unix:{folder}/back.sock"]
    shell = f"ulimit -n 128; exec {sys.executable} -m moorage {' '.join(words)}"
    with (folder / "log").open("wb") as log:
        process = command.launch(["sh", "-c", shell], stderr=log, env={"CONFIGPROXY_AUTH_TOKEN": "secret"})
    return back, Running(process, folder / "log").ready()
