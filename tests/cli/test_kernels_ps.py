"""What runs, and what it is doing; with real kernels in tests/real/test_running.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moorage.cli.kernels_ps import show, to_json
from moorage.cli.main import main
from moorage.discovery.running import RunningKernel
from moorage.wire.connection import ConnectionInfo

INFO = ConnectionInfo("tcp", "127.0.0.1", 1, 1, 1, 1, 1, b"secret")
ONE = RunningKernel("abcdefghij", Path("/r/k.json"), "ir", INFO, True, 12, 70.4, 3 << 20, "jupyter")
GONE = RunningKernel("gone", Path("/r/g.json"), "", INFO, False, None, 90_000, None, "other")


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("moorage.discovery.running.running", list)


def test_nothing_runs(nothing, capsys):
    assert main(["kernels", "ps"]) == 0
    assert capsys.readouterr().out == "No kernel of yours runs here.\n"
    assert main(["kernels", "--json", "ps"]) == 0
    assert json.loads(capsys.readouterr().out)["kernels"] == []


def test_people_get_a_table(capsys):
    show([ONE, GONE], {"abcdefghij": "busy"})
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["ID", "PID", "TYPE", "STATUS", "AGE", "MEMORY", "CONNECTION", "FILE"],
        ["abcdefgh", "12", "ir", "busy", "1", "min", "3", "MiB", "/r/k.json"],
        ["gone", "-", "-", "ended", "1", "d", "-", "/r/g.json"],
    ]


def test_ended_ones_are_counted_and_shown_on_demand(monkeypatch, capsys):
    monkeypatch.setattr("moorage.discovery.running.running", lambda: [GONE])
    assert main(["kernels", "ps"]) == 0
    shown = capsys.readouterr()
    assert "gone" not in shown.out
    assert shown.err == "note: 1 connection file is left of kernels that have ended; --all shows\n"
    assert main(["kernels", "ps", "--all"]) == 0
    assert "gone" in capsys.readouterr().out


def test_programs_get_all_but_keys():
    told = to_json([ONE, GONE], {"abcdefghij": "idle"})["kernels"]
    assert [(each["id"], each["status"], each["alive"]) for each in told] == [
        ("abcdefghij", "idle", True),
        ("gone", "ended", False),
    ]
    assert "secret" not in json.dumps(told)
