"""A run in a terminal or pipe: where everything is told, and the exit code."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from command import Command, script, write
from moorage.cli.session import render_session
from moorage.errors import UsageError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    return write(tmp_path, {"bad.ipynb": "", "worse.ipynb": "["})


def session(*sources: str, **flags) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    code = render_session(sources, flags, stdout, stderr)
    return code, stdout.getvalue(), stderr.getvalue()


def test_everything_about_a_run_is_written_although_notebooks_failed(folder):
    code, out, err = session(".", junit=Path("t/j.xml"), json=Path("t/r.json"), report=Path("t/m/r.html"))
    assert code == 1
    assert "bad.ipynb" in out
    assert err == ""
    assert {path.name for path in folder.rglob("t/**/*") if path.is_file()} == {"j.xml", "r.json", "r.html"}
    assert len(json.loads((folder / "t/r.json").read_text())["notebooks"]) == 2


def test_a_document_on_stdout_is_alone_there(folder):
    code, out, err = session(".", json=Path("-"))
    assert (code, len(json.loads(out)["notebooks"])) == (1, 2)
    assert "bad.ipynb" in err


def test_a_file_that_cannot_be_written_costs_none_of_the_others(folder, capsys):
    class Stderr(io.StringIO):
        def write(self, text):
            (folder / "j.xml").mkdir(exist_ok=True)  # while the run goes on
            return super().write(text)

    stdout, flags = io.StringIO(), {"junit": Path("j.xml"), "json": Path("-"), "report": Path("r.html")}
    assert render_session(["bad.ipynb"], flags, stdout, Stderr()) == 1
    assert json.loads(stdout.getvalue())
    assert (folder / "r.html").is_file()
    assert capsys.readouterr().err.startswith("error: cannot write j.xml (E-OUTPUT). ")


def test_the_last_line_says_where_results_and_report_are(folder):
    _, out, _ = session(".", report=Path("t/r.html"), junit=Path("j.xml"))
    assert out.splitlines()[-1] == "junit: j.xml  report: t/r.html"


def test_wrong_configuration_is_raised_before_anything_is_done(folder):
    write(folder, {"moorage.toml": "[render]\ncolour = 1\n"})
    with pytest.raises(UsageError, match="colour"):
        session(".", json=Path("r.json"))
    assert not (folder / "r.json").exists()


def test_the_configuration_beside_the_sources_counts_from_elsewhere_too(folder):
    write(folder, {"demos/moorage.toml": '[render]\njson = "told.json"\n', "demos/x.ipynb": ""})
    assert session("demos")[0] == 1
    assert (folder / "demos/told.json").is_file()


@pytest.mark.real
def test_one_document_goes_to_stdout_and_nothing_else_does(moorage: Command):
    write(moorage.cwd, {"a.py": script("print(6 * 7)"), "bad.py": script("1 / 0")})
    done = moorage("render", "a.py", "-o", "-", code=0)
    assert json.loads(done.stdout)["cells"][-1]["outputs"][0]["text"] == ["42\n"]
    assert done.stderr.splitlines()[-1] == "results: stdout"
    assert moorage("render", "a.py", "-o", "-", code=0).stdout == done.stdout
    assert "<html" in moorage("render", "a.py", "-o", "-", "--to", "html", code=0).stdout
    failed = moorage("render", "bad.py", "-o", "-", "--json", "r.json", code=1)
    assert "ZeroDivisionError" in json.loads(failed.stdout)["cells"][-1]["outputs"][0]["ename"]
    assert json.loads((moorage.cwd / "r.json").read_text())["notebooks"][0]["output"] == "-"
    assert {path.name for path in moorage.cwd.glob("[!.]*")} == {"a.py", "bad.py", "r.json"}


@pytest.mark.real
def test_a_notebook_called_index_keeps_its_page(moorage: Command):
    write(moorage.cwd, {"index.py": script("print('my own index')"), "other.py": script("print('other')")})
    moorage("render", ".", "--to", "html", "--no-cache", code=0)
    assert "my own index" in (moorage.cwd / "rendered/index.html").read_text()
    (moorage.cwd / "index.py").rename(moorage.cwd / "start.py")
    moorage("render", ".", "--to", "html", "-o", "other", "--no-cache", code=0)
    assert "start" in (moorage.cwd / "other/index.html").read_text()


def test_results_on_a_full_disk_are_an_error(moorage: Command):
    write(moorage.cwd, {"bad.ipynb": ""})
    with Path("/dev/full").open("wb") as full:
        done = moorage.ended(moorage.start("render", "bad.ipynb", "--json", "-", stdout=full), code=1)
    assert (
        "error: the results cannot be written to stdout (E-OUTPUT). No space left on device." in done.stderr
    )


def test_from_another_folder_names_are_as_the_user_would_write_them(moorage: Command):
    write(moorage.cwd, {"demos/bad.ipynb": "", "else/x": ""})
    done = moorage("render", "../demos", "--json", "-", cwd=moorage.cwd / "else", code=1)
    assert done.statuses == {"bad.ipynb": "failed"}
    assert (moorage.cwd / "demos/.moorage").exists() or not (moorage.cwd / "else/.moorage").exists()


@pytest.mark.real
def test_a_run_that_finds_all_in_the_cache_loads_nothing_for_kernels_and_starts_none(
    tmp_path, moorage: Command
):
    for number in range(3):
        cell = {"cell_type": "code", "source": f"print({number})", "metadata": {}}
        made = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
        write(tmp_path, {f"{number}.ipynb": json.dumps(made)})
    assert set(moorage("render", ".", "--json", "-", code=0).statuses.values()) == {"ok"}
    code = (
        "import sys, moorage.cli.main as cli; code = cli.main(sys.argv[1:])\n"
        "print(code, *sys.modules, file=sys.stderr)"
    )
    argv = [sys.executable, "-c", code, "render", ".", "--json", "-"]
    with moorage.launch(argv) as process:
        out, err = process.communicate(timeout=60)
    assert {each["status"] for each in json.loads(out)["notebooks"]} == {"cached"}
    code, *loaded = err.decode().splitlines()[-1].split()
    assert code == "0"
    needless = (
        "zmq",
        "moorage.kernel.",
        "moorage.places.",
        "moorage.rendezvous.",
        "moorage.process.template",
    )
    assert not [name for name in loaded if name.startswith(needless)]
    assert {"email", "tarfile", "zipfile", "rich", "nbformat"}.isdisjoint(loaded)
