"""A server that is up in milliseconds: tells what it was asked, and fails in the ways that TOY names."""

from __future__ import annotations

import json
import os
import signal
import socketserver
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import ProxyHandler, build_opener

RUN = os.urandom(8).hex()
"""What tells this process from every other one: behind walls all have the same id."""


def fetched(url: str, *, direct: bool) -> str:
    """Return what a host answers, through the proxy of the environment or without one."""
    ways = [ProxyHandler({})] if direct else []
    try:
        with build_opener(*ways).open(url, timeout=60) as answer:
            return str(answer.read().decode())
    except OSError as error:
        text = error.read().decode() if isinstance(error, HTTPError) else str(error.reason)  # type: ignore[attr-defined]  # an URLError
        return f"{getattr(error, 'code', 'failed')}: {text}".strip()


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.endswith("/die"):
            print("told to die", flush=True)
            os._exit(3)
        if self.path.endswith("/hog"):
            taken = []
            while True:
                taken.append(b"1" * (8 << 20))
        if self.path.endswith("/bomb"):  # a process of it that takes what it can get
            bomb = "taken = [b'1' * (8 << 20) for _ in iter(int, 1)]"
            code = subprocess.run([sys.executable, "-c", bomb], check=False).returncode
            self.path += f"?{code}"
        if self.path.endswith("/burn"):  # a process of it that takes a whole processor, for ever
            subprocess.Popen([sys.executable, "-c", "while True: pass"])
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/there")
            self.send_header("Set-Cookie", "a=b; Path=/")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/tossing":
            self.send_response(200)
            self.send_header(
                "Set-Cookie", "a=b; Domain=.localhost; Path=/; DOMAIN = localhost;domain; Secure"
            )
            self.send_header("Set-Cookie", "c=d")
            self.send_header("Clear-Site-Data", '"cookies"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        said = {
            "path": self.path,
            "headers": dict(self.headers.items()),
            "cwd": str(Path.cwd()),
        }
        before, _, url = self.path.partition("?")
        if before.endswith(("/fetch", "/direct")):
            said["fetched"] = fetched(unquote(url), direct=before.endswith("/direct"))
        said |= {"argv": sys.argv, "pid": os.getpid(), "run": RUN, "env": dict(os.environ)}
        said["work"] = sorted(path.name for path in Path.cwd().iterdir())
        text = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        return "-"


class OnSocket(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class OnPort(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True


def main(address: str) -> None:
    toy = os.environ.get("TOY", "")
    if toy == "die":
        print("no licence for x", file=sys.stderr, flush=True)
        sys.exit(3)
    if toy == "tell":
        print("my token is", sys.argv[2], flush=True)
        sys.exit(3)
    if toy == "mute":
        signal.pause()
    if toy == "late":
        while not Path("go").exists():
            time.sleep(0.01)
    server: socketserver.BaseServer
    if address.isdecimal():
        server = OnPort(("127.0.0.1", int(address)), Answers)
    else:
        server = OnSocket(address, Answers)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
