"""Everything known of one kernel type, but no secret."""

from __future__ import annotations

import json

import pytest

from moorage.cli.main import main
from moorage.discovery.redaction import HIDDEN


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    folder = tmp_path / "kernels/odd"
    folder.mkdir(parents=True)
    content = {
        "argv": ["odd", "--token=t0psecret", "--key", "k3y", "-f", "{connection_file}"],
        "display_name": "Odd\x1b[2J",
        "language": "odd",
        "env": {"OMP_NUM_THREADS": "2", "API_KEY": "abc", "PLAIN": "ghp_0123456789abcdefghij0123"},
        "interrupt_mode": "message",
        "metadata": {"debugger": True, "hub": {"auth": ["xyz"]}},
    }
    (folder / "kernel.json").write_text(json.dumps(content))
    (folder / "logo-64x64.png").touch()
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    return folder


def test_people_see_what_there_is(kernel, capsys):
    assert main(["kernels", "show", "odd"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "spec/odd  Odd?[2J"
    told = {line.split()[0]: line.strip().partition(" ")[2].strip() for line in out.splitlines()[1:]}
    assert told["command"] == f"odd --token={HIDDEN} --key {HIDDEN} -f {{connection_file}}"
    assert told["variables"] == f"OMP_NUM_THREADS=2  API_KEY={HIDDEN}  PLAIN={HIDDEN}"
    assert told["place"] == "this machine"
    assert told["interrupt"] == "by message"
    assert told["rendezvous"] == "hold"
    assert told["logos"] == "logo-64x64"
    for secret in ("t0psecret", "k3y", "abc", "ghp_", "xyz", "\x1b"):
        assert secret not in out


def test_programs_see_the_same(kernel, capsys):
    assert main(["kernels", "show", "odd", "--json"]) == 0
    out = capsys.readouterr().out
    found = json.loads(out)
    assert (found["type"], found["interrupt_mode"]) == ("spec/odd", "message")
    assert found["place"] == "this machine"
    assert found["env"] == {"OMP_NUM_THREADS": "2", "API_KEY": HIDDEN, "PLAIN": HIDDEN}
    assert found["metadata"] == {"debugger": True, "hub": {"auth": [HIDDEN]}}
    assert found["logos"] == {"logo-64x64": str(kernel / "logo-64x64.png")}
    assert "t0psecret" not in out


def test_what_it_lacks_stands_below(tmp_path, monkeypatch, capsys):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/pyvenv.cfg").write_text("uv = 0.8\nversion = 3.12.1")
    monkeypatch.chdir(tmp_path)
    assert main(["kernels", "show", "env/.venv"]) == 0
    out = capsys.readouterr().out
    assert "activated as venv" in out
    assert "env/.venv: its interpreter is gone" in out
    assert f"Make it anew: uv venv --clear {tmp_path}/.venv." in out.replace("\n    ", " ")


def test_one_that_is_not_there(capsys):
    assert main(["kernels", "show", "pythn3"]) == 1
    assert "Did you mean python3" in capsys.readouterr().err
