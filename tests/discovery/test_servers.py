"""The Jupyter server of a kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

from moorage.discovery.servers import server_of


@pytest.mark.skipif(sys.platform != "linux", reason="ancestors are looked up in /proc")
@pytest.mark.parametrize(("name", "is_server"), [("jupyter-lab", True), ("some-program", False)])
def test_it_is_an_ancestor_with_a_servers_command(tmp_path, name, is_server):
    program = tmp_path / name
    program.write_text("import subprocess, sys; subprocess.call(sys.argv[1:])")
    kernel = [sys.executable, "-c", "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"]
    command = [sys.executable, program, *kernel]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        pid = int(server.stdout.readline())
        assert server_of(pid) == (server.pid if is_server else None)
        server.stdin.close()


def test_a_process_that_has_gone_has_none():
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert server_of(ended.pid) is None
