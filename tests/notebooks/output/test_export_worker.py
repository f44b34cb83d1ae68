from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from notebooks.made_up import notebook, write_notebook

pytest.importorskip("nbconvert")

WORKER = [sys.executable, "-m", "moorage.notebooks.output.export_worker"]


def request(source, out, **options):
    return (
        json.dumps({"id": 1, "source_ipynb": str(source), "to": "html", "out": str(out), **options}).encode()
        + b"\n"
    )


def test_replies_go_to_stdout_when_requests_come_through_a_pipe(tmp_path):
    source = write_notebook(tmp_path / "x.ipynb", notebook())
    lines = [
        request(source, tmp_path / "x.html", title="T"),
        b"no json\n",
        request(source, tmp_path / "x.pdf", to="pdf"),
        request(source, tmp_path / "y.html"),
    ]
    done = subprocess.run(WORKER, input=b"".join(lines), stdout=subprocess.PIPE, timeout=120, check=True)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    replies = [each for each in said if each != {"alive": True}]
    assert replies[0] == {"id": 1, "ok": True, "files": [str(tmp_path / "x.html")]}
    assert replies[1]["id"] is None
    assert "JSONDecodeError" in replies[1]["error"]
    assert "pdf" in replies[2]["error"]
    assert replies[3]["ok"] is True
    assert "<title>T</title>" in (tmp_path / "x.html").read_text("utf-8")


def test_a_notebook_that_is_a_pipe_or_endless_is_told(tmp_path):
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "endless.ipynb").symlink_to("/dev/zero")
    lines = [request(tmp_path / name, tmp_path / "x.html") for name in ("pipe.ipynb", "endless.ipynb")]
    done = subprocess.run(WORKER, input=b"".join(lines), stdout=subprocess.PIPE, timeout=120, check=True)
    replies = [said for line in done.stdout.splitlines() if "alive" not in (said := json.loads(line))]
    assert ["a pipe" in replies[0]["error"], "a device" in replies[1]["error"]] == [True, True]


def test_an_error_that_shows_a_whole_notebook_is_cut_and_the_next_page_is_made(tmp_path):
    bad = notebook()
    bad["cells"][0]["metadata"]["tags"] = ["t" * 100_000] * 50  # which the schema's error shows whole
    lines = [
        request(write_notebook(tmp_path / "bad.ipynb", bad), tmp_path / "bad.html"),
        request(write_notebook(tmp_path / "x.ipynb", notebook()), tmp_path / "x.html"),
    ]
    done = subprocess.run(WORKER, input=b"".join(lines), stdout=subprocess.PIPE, timeout=120, check=True)
    replies = [said for line in done.stdout.splitlines() if "alive" not in (said := json.loads(line))]
    assert "ValidationError" in replies[0]["error"]
    assert len(replies[0]["error"]) < 5000
    assert replies[1]["ok"] is True


def test_it_gives_signs_of_life_while_it_works(monkeypatch):
    from moorage.notebooks.output import export_worker

    monkeypatch.setattr(export_worker, "_BEAT", 0.01)
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.makefile("wb") as replies, ours.makefile("rb") as heard:
        with export_worker._alive(replies):
            assert json.loads(heard.readline()) == {"alive": True}
        export_worker._say(replies, {"id": 1})
        while (said := json.loads(heard.readline())) != {"id": 1}:
            assert said == {"alive": True}


def test_it_ends_quietly_when_its_client_is_gone(tmp_path):
    ours, theirs = socket.socketpair()
    source = write_notebook(tmp_path / "x.ipynb", notebook())
    with theirs, subprocess.Popen(WORKER, stdin=theirs, stderr=subprocess.PIPE) as process:
        theirs.close()
        ours.sendall(request(source, tmp_path / "x.html") * 2)
        ours.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""


def test_the_grammar_that_is_not_needed_is_not_loaded(tmp_path):
    code = (
        "import sys, moorage.notebooks.output.export_worker as w\n"
        "w.main()\n"
        "import nbconvert, nbformat\n"
        "assert sys.modules.get('rfc3987_syntax') is None and 'lark' not in sys.modules, 'loaded'\n"
    )
    source = write_notebook(tmp_path / "x.ipynb", notebook())
    asked = request(source, tmp_path / "x.html")
    subprocess.run([sys.executable, "-c", code], input=asked, stdout=subprocess.PIPE, timeout=120, check=True)
    assert (tmp_path / "x.html").exists()
