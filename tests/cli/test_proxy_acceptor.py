"""An acceptor as ``moorage proxy --acceptors`` starts it."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from cli.test_proxy_run import Running, running, target
from command import DEADLINE, typed_in, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


def children(proxy: Running) -> list[int]:
    pid = proxy.process.pid
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_several_processes_are_one_proxy(tmp_path: Path) -> None:
    words = ["--acceptors", "3", "--metrics-port", "0", "--metrics-ip", "127.0.0.1"]
    with target() as url, running(tmp_path, *words, "--default-target", url) as proxy:
        assert proxy.api("POST", "/api/routes/user/ann", f'{{"target": "{url}", "k": 1}}')[0] == 201
        assert {proxy.ask("/user/ann/x")[0] for _ in range(20)} == {200}
        before = children(proxy)
        assert len(before) == 3
        assert not [pid for pid in before if b"AUTH_TOKEN" in Path(f"/proc/{pid}/environ").read_bytes()]
        assert b"requests_web 20\n" in proxy.ask("/metrics", port=proxy.metrics_port)[2]
        os.kill(before[1], signal.SIGKILL)
        assert {proxy.ask("/user/ann/x")[0] for _ in range(20)} == {200}
        assert until(lambda: len({*children(proxy)} - {before[1]}) == 3, DEADLINE)
        assert b"requests_web 40\n" in proxy.ask("/metrics", port=proxy.metrics_port)[2]
        assert proxy.api("DELETE", "/api/routes/user/ann")[0] == 204
        assert proxy.said().count("Adding route /user/ann") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_they_end_with_the_proxy(tmp_path: Path, number: int) -> None:
    with running(tmp_path, "--acceptors", "2", code=-9 if number == signal.SIGKILL else 0) as proxy:
        pids = children(proxy)
        proxy.process.send_signal(number)
        proxy.process.wait(DEADLINE)
        assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), DEADLINE)
        assert "Traceback" not in proxy.said()


def test_one_that_is_stopped_ends_with_the_proxy(tmp_path: Path) -> None:
    with running(tmp_path, "--acceptors", "2", code=-9) as proxy:
        pids = children(proxy)
        os.kill(pids[0], signal.SIGSTOP)
        proxy.process.kill()
        proxy.process.wait(DEADLINE)
        assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), DEADLINE)


def test_a_unix_socket_is_shared(tmp_path: Path) -> None:
    words = ["--socket", tmp_path / "front", "--api-ip", "127.0.0.1", "--api-port", "0", "--acceptors", "2"]
    with running(tmp_path, *words, listeners=False) as proxy:
        assert re.search(r"Proxying unix:", proxy.said())
        assert len(children(proxy)) == 2
    assert not (tmp_path / "front").exists()


def test_a_number_that_cannot_be(tmp_path: Path) -> None:
    with typed_in(tmp_path) as command:
        done = command("proxy", "--acceptors", "0")
        assert (done.code, "--acceptors 0 cannot be" in done.stderr) == (2, True)
