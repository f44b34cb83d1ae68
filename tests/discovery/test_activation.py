"""Inside an environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from moorage.discovery import activation
from moorage.discovery.activation import Activation, around

BASE = {"PATH": "/usr/bin:/bin", "HOME": "/h", "PYTHONHOME": "/p", "JUST": "this"}


def script(prefix, name, text):
    folder = prefix / "etc/conda/activate.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_a_virtual_environment(tmp_path):
    inside = Activation(tmp_path, "venv", ".venv").environment(BASE | {"CONDA_PREFIX": "/c"})
    assert inside == {
        "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
        "HOME": "/h",
        "JUST": "this",
        "VIRTUAL_ENV": str(tmp_path),
        "VIRTUAL_ENV_PROMPT": ".venv",
    }


def test_entering_twice_changes_nothing(tmp_path):
    one = Activation(tmp_path, "venv", "x")
    assert one.environment(one.environment(BASE)) == one.environment(BASE)


def test_an_interpreter_alone_is_no_environment(tmp_path):
    inside = Activation(tmp_path, "python", "3.12").environment(BASE | {"VIRTUAL_ENV": "/v"})
    assert inside == {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": "/h", "JUST": "this"}


def test_without_a_path_the_systems_default_follows(tmp_path):
    assert Activation(tmp_path, "venv", "x").environment({})["PATH"] == f"{tmp_path}/bin:{os.defpath}"


def test_conda_says_where_it_is_and_leaves_the_other_environment(tmp_path):
    inside = Activation(tmp_path, "conda", "work").environment(BASE | {"VIRTUAL_ENV": "/v"})
    assert inside == {
        "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
        "HOME": "/h",
        "JUST": "this",
        "CONDA_PREFIX": str(tmp_path),
        "CONDA_DEFAULT_ENV": "work",
        "CONDA_PROMPT_MODIFIER": "(work) ",
        "CONDA_SHLVL": "1",
    }


def test_pixi_says_more(tmp_path):
    prefix = tmp_path / ".pixi/envs/docs"
    inside = Activation(prefix, "conda", "docs", tmp_path).environment(BASE)
    assert inside["PIXI_ENVIRONMENT_NAME"] == "docs"
    assert inside["PIXI_PROJECT_ROOT"] == str(tmp_path)


def test_variables_that_conda_keeps(tmp_path):
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "etc/conda/env_vars.d").mkdir(parents=True)
    (tmp_path / "etc/conda/env_vars.d/a.json").write_text('{"A": "package", "P": "package"}')
    (tmp_path / "etc/conda/env_vars.d/b.json").write_text("{")
    kept = {"env_vars": {"A": "user", "GONE": "***unset***"}}
    (tmp_path / "conda-meta/state").write_text(json.dumps(kept))
    inside = Activation(tmp_path, "conda", "w").environment(BASE)
    assert (inside["A"], inside["P"]) == ("user", "package")
    assert "GONE" not in inside


def test_scripts_do_what_they_do_in_a_shell(tmp_path):
    script(tmp_path, "1.sh", "export DATA=\"$CONDA_PREFIX/data\" ODD='a=b $c\nd'\nlocal_one=1\necho noise")
    script(tmp_path, "2.sh", 'export PATH="$CONDA_PREFIX/more:$PATH" DATA="$DATA:2"\nunset JUST')
    script(tmp_path, "3.fish", "export NEVER=1")
    inside = Activation(tmp_path, "conda", "w").environment(BASE)
    assert inside["DATA"] == f"{tmp_path}/data:2"
    assert inside["ODD"] == "a=b $c\nd"
    assert inside["PATH"].startswith(f"{tmp_path}/more:{tmp_path}/bin:")
    assert inside.keys().isdisjoint({"JUST", "local_one", "NEVER", "SHLVL", "_", "PWD", "OLDPWD"})


def test_a_script_that_fails_costs_only_what_it_did_not_do(tmp_path):
    script(tmp_path, "1.sh", "export ONE=1\nset -eu\nfalse\n")
    script(tmp_path, "2.sh", "export TWO=2")
    assert Activation(tmp_path, "conda", "w").environment(BASE)["ONE"] == "1"
    script(tmp_path, "1.sh", "export ONE=2\nexit 3")
    assert Activation(tmp_path, "conda", "w").environment(BASE)["ONE"] == "2"
    script(tmp_path, "1.sh", "( syntax")
    assert Activation(tmp_path, "conda", "w").environment(BASE)["TWO"] == "2"
    script(tmp_path, "1.sh", "PATH=/nowhere; export PATH ONE=3")
    assert Activation(tmp_path, "conda", "w").environment(BASE)["ONE"] == "3"


def test_scripts_that_hang_or_kill_their_shell_cost_their_effect(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(activation, "_SCRIPTS_SECONDS", 0.2)
    for number, text in enumerate(("sleep 98765", "kill -9 $$")):
        script(tmp_path, "1.sh", f"# {number}\n{text}")
        inside = Activation(tmp_path, "conda", "w").environment(BASE)
        assert inside["CONDA_PREFIX"] == str(tmp_path)
    assert "wrote no environment" in caplog.text
    assert subprocess.run(["pgrep", "-f", "sleep 98765"], check=False, stdout=subprocess.PIPE).stdout == b""


def test_scripts_run_once_until_they_change(tmp_path):
    count = tmp_path / "count"
    path = script(tmp_path, "1.sh", f"echo >> {count}")
    entered = Activation(tmp_path, "conda", "w")
    entered.environment(BASE)
    entered.environment(BASE)
    assert len(count.read_text().splitlines()) == 1
    os.utime(path, ns=(1, 1))
    entered.environment(BASE)
    assert len(count.read_text().splitlines()) == 2
    entered.environment(BASE | {"MORE": "1"})
    assert len(count.read_text().splitlines()) == 3


@pytest.mark.skipif(os.path.realpath("/bin/sh").endswith("bash"), reason="sh is bash here")
def test_without_bash_another_shell_does(tmp_path, monkeypatch):
    script(tmp_path, "1.sh", "export ONE=1")
    monkeypatch.setattr(activation.shutil, "which", lambda *_, **__: None)
    assert Activation(tmp_path, "conda", "w").environment(BASE | {"X": "dash"})["ONE"] == "1"


def test_the_environment_of_a_program_is_known_by_the_marks_in_it(tmp_path):
    conda = tmp_path / "proj" / ".pixi" / "envs" / "default"
    for folder in (tmp_path / "venv", conda, tmp_path / "none"):
        (folder / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    (conda / "conda-meta").mkdir()
    assert around(tmp_path / "venv/bin/python") == Activation(tmp_path / "venv", "venv", "venv")
    assert around(conda / "bin/R") == Activation(conda, "conda", "default", tmp_path / "proj")
    assert around(tmp_path / "none/bin/python") is None
    assert around(Path("python")) is None
