"""How a keeper begins, and what it does where it may not."""

from __future__ import annotations

import pytest

from moorage.keeper.process import record
from moorage.wire import link


def test_a_link_that_ends_before_start_leaves_nothing(keeper):
    keeper.first.channel.close()
    keeper.first.ended = True


def test_what_is_not_start_is_told_so(keeper, until):
    keeper.first.send(do="status")
    assert keeper.first.get()["why"] == "the first message is to be start"
    until(lambda: not keeper.directory.exists())


def test_what_is_no_link_is_told_so(keeper, until):
    keeper.first.channel.sendall(b"SSH-2.0-OpenSSH\r\n")
    assert "no keeper's link" in keeper.first.get()["why"]
    until(lambda: not keeper.directory.exists())


def test_start_may_be_long(keeper):
    value = "x" * 100_000
    told = keeper.begin(
        "sh", "-c", 'printf %s "$LONG" | wc -c; sleep 1000', env={"LONG": value, "PATH": "/usr/bin:/bin"}
    )
    assert told["state"] == "running"


@pytest.mark.parametrize("missing", ["argv", "env", "cwd", "id", "lease"])
def test_start_without_what_it_needs_is_refused(keep, missing):
    keeper = keep()
    message = {"do": "start", "id": "x", "argv": ["true"], "env": {}, "cwd": "/", "umask": 0, "process": None}
    message |= {"lease": 0, "grace": 1, "log": 1, "portable": False, "label": ""}
    del message[missing]
    keeper.first.channel.sendall(link.encode(message))
    told = keeper.first.get()
    assert told["tell"] == "failed"
    assert told["stage"] in ("start", "exec", "chdir")
    keeper.first.end()
    assert record.read(str(keeper.directory)) is None
