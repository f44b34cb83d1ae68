"""Ending a kernel that this process did not start; real ones in tests/real/test_running.py."""

from __future__ import annotations

import os
import signal

import pytest

from deaf_kernel import deaf
from moorage.discovery.running import find
from moorage.errors import DeadlineExceeded
from moorage.kernel.stop import stop


@pytest.mark.anyio
@pytest.mark.parametrize(("on_term", "ended_by"), [("SIG_DFL", signal.SIGTERM), ("SIG_IGN", signal.SIGKILL)])
async def test_one_that_does_not_listen_is_signalled(tmp_path, monkeypatch, on_term, ended_by):
    monkeypatch.setattr("moorage.kernel.stop._HELLO_SECONDS", 0.2)
    with deaf(tmp_path / "k.json", on_term) as process:
        said = await stop(find(tmp_path / "k.json"), grace=0.2)
        assert process.wait(60) == -ended_by
    assert said


@pytest.mark.anyio
async def test_a_kernel_that_named_its_file_after_itself_is_signalled(tmp_path, monkeypatch):
    """As ipykernel's embed_kernel does."""
    monkeypatch.setattr("moorage.kernel.stop._HELLO_SECONDS", 0.2)
    with deaf(tmp_path / "k.txt", "SIG_DFL") as process:
        path = (tmp_path / "k.txt").rename(tmp_path / f"kernel-{process.pid}.json")
        kernel = find(path)
        os.utime(path, (1, 1))  # written before the process began: the pid was used again
        with pytest.raises(DeadlineExceeded, match="nothing is signalled"):
            await stop(kernel, grace=0.2)
        os.utime(path)
        assert await stop(kernel, grace=0.2)
        assert process.wait(60) == -signal.SIGTERM
