"""Files of the user are kept and caches of others are not believed, as the command is typed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from command import Command, printed, script, write

pytestmark = pytest.mark.real

PLOT = """
from IPython.display import Image, display
import base64
pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
display(Image(base64.b64decode(pixel)))
open("film.gif", "w").write("film")
"""
EVERYTHING = [
    *("render", "a.py", "b.py", "--to", "ipynb,html,md", "-o", "site", "--artifacts", "*.gif"),
    *("--report", "site/report.html", "--json", "r.json", "--junit", "r.xml", "--bundle", "all.tar.gz"),
]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_same_command_goes_again_and_again(moorage: Command):
    write(moorage.cwd, {"a.py": script(PLOT), "b.py": script("print(2)")})
    for extra in ([], [], ["--force"], ["--no-cache"]):
        moorage(*EVERYTHING, *extra, code=0)
    written = set(contents(moorage.cwd / "site"))
    names = {f"{name}.{to}" for name in "ab" for to in ("ipynb", "html", "md")}
    own = {"index.html", "report.html", ".moorage-files", "film.gif"}
    assert written == names | own | {"a_files/a_0_0.png"}


@pytest.mark.parametrize(
    "name", ["site/a.html", "site/index.html", "site/report.html", "r.json", "r.xml", "all.tar.gz"]
)
def test_a_file_of_the_users_ends_the_run_before_it_begins(moorage: Command, name: str):
    write(moorage.cwd, {"a.py": script(PLOT), "b.py": script("print(2)"), name: "mine"})
    before = contents(moorage.cwd)
    done = moorage(*EVERYTHING, code=2)
    assert f"error: {name} would be written over" in done.stderr
    assert "--overwrite" in done.stderr
    assert contents(moorage.cwd) == before
    moorage(*EVERYTHING, "--overwrite", code=0)
    moorage(*EVERYTHING, code=0)


@pytest.mark.parametrize("name", ["site/a_files/a_0_0.png", "site/film.gif"])
def test_a_file_whose_name_shows_later_is_kept_and_its_notebook_fails(moorage: Command, name: str):
    write(moorage.cwd, {"a.py": script(PLOT), "b.py": script("print(2)"), name: "mine"})
    for _ in range(2):
        done = moorage(*EVERYTHING[:-8], "--json", "-", code=1)
        assert done.statuses == {"a.py": "failed", "b.py": done.statuses["b.py"]}
        assert "moorage did not make it" in done.notebooks["a.py"]["error"]["evalue"]
        assert (moorage.cwd / name).read_text() == "mine"


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize("out", ["out", "."])
def test_no_attachment_goes_where_a_document_is(moorage: Command, out: str, overwrite: list[str]):
    attached = {"b.ipynb": {"image/png": "aGVsbG8="}}
    picture = {"cell_type": "markdown", "source": "![b](attachment:b.ipynb)", "attachments": attached}
    about = {"metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    sources = {"a.ipynb": [{**picture, "metadata": {}}], "a_files/b.ipynb": []}
    write(moorage.cwd, {name: json.dumps({"cells": cells, **about}) for name, cells in sources.items()})
    to = "ipynb,md" if out == "out" else "md"
    done = moorage("render", *sources, "--to", to, "-o", out, "--json", "-", *overwrite, code=1)
    assert done.statuses == {"a.ipynb": "failed", "a_files/b.ipynb": "ok"}
    assert "is not written over" in done.notebooks["a.ipynb"]["error"]["evalue"]
    assert json.loads((moorage.cwd / out / "a_files/b.ipynb").read_text())["cells"] == []


def test_no_artefact_goes_where_the_page_of_another_goes(moorage: Command):
    write(moorage.cwd, {"a.py": script("open('b.html', 'w').write('a')"), "b.py": script("print('page b')")})
    command = ("render", "a.py", "b.py", "--to", "html", "--artifacts", "*.html", "-o", "out", "--json", "-")
    for _ in range(2):
        done = moorage(*command, code=1)
        assert done.statuses["a.py"] == "failed"
        assert "A document of this run" in done.notebooks["a.py"]["error"]["evalue"]
        assert "page b" in (moorage.cwd / "out/b.html").read_text()


def test_what_an_older_version_wrote_is_one_sentence(moorage: Command):
    write(moorage.cwd, {"a.py": script("print(1)"), "rendered/a.ipynb": "{}"})
    done = moorage("render", "a.py", code=2)
    assert len(done.stderr.splitlines()) == 1
    assert "--overwrite (once" in done.stderr
    moorage("render", "a.py", "--overwrite", code=0)
    moorage("render", "a.py", "--force", code=0)


def test_the_configuration_may_say_so_and_only_for_its_own_folder(moorage: Command):
    write(moorage.cwd, {"p/a.py": script("print(1)"), "p/moorage.toml": "[render]\noverwrite = true\n"})
    write(moorage.cwd, {"p/rendered/a.ipynb": "{}", "mine.json": "mine"})
    done = moorage("render", "a.py", "--json", "../mine.json", cwd=moorage.cwd / "p", code=2)
    assert "mine.json" in done.stderr
    moorage("render", "a.py", cwd=moorage.cwd / "p", code=0)
    assert (moorage.cwd / "mine.json").read_text() == "mine"


def test_results_go_to_streams_and_to_files_that_were_made_for_them(moorage: Command):
    write(moorage.cwd, {"a.py": script("print(1)"), "made.json": ""})
    moorage("render", "a.py", "--json", "made.json", "--junit", "/dev/null", code=0)
    assert json.loads((moorage.cwd / "made.json").read_text())["notebooks"]
    command = "$0 -m moorage render a.py --quiet --json /dev/stdout > out.json"
    import sys

    moorage.ended(moorage.launch(["bash", "-c", command, sys.executable]), code=0)
    assert json.loads((moorage.cwd / "out.json").read_text())["notebooks"]


# -- the cache -------------------------------------------------------------------------------------


@pytest.fixture
def strangers(moorage: Command, tmp_path_factory: pytest.TempPathFactory):
    """Return a project with a cache that another user filled: their results, their key."""
    write(moorage.cwd, {"a.py": script("print(1)")})
    theirs = {"XDG_STATE_HOME": str(tmp_path_factory.mktemp("theirs"))}
    moorage("render", "a.py", env=theirs, code=0)
    shutil.rmtree(moorage.cwd / "rendered")
    return moorage


def test_a_cache_that_came_with_the_project_is_not_believed_and_the_run_goes_on(strangers: Command):
    before = contents(strangers.cwd / ".moorage/cache")
    done = strangers("render", "a.py", "--json", "-", "-o", "out", code=0)
    assert done.statuses == {"a.py": "ok"}
    assert "nothing is cached" in done.stderr
    assert "MOORAGE_CACHE_KEY" in done.stderr
    assert contents(strangers.cwd / ".moorage/cache") == before


def test_one_that_is_asked_for_by_name_is_refused(strangers: Command):
    done = strangers("render", "a.py", "--cache", ".moorage/cache", code=2)
    assert "not taken as a cache" in done.stderr
    assert not (strangers.cwd / "rendered").exists()


def test_a_cache_that_is_shared_on_purpose_has_its_key_in_the_environment(moorage: Command):
    write(moorage.cwd, {"a.py": script("import os\nprint(repr(os.environ.get('MOORAGE_CACHE_KEY')))")})
    key = {"MOORAGE_CACHE_KEY": "of sixteen letters and more"}
    for number, status in enumerate(("ok", "cached")):
        state = {"XDG_STATE_HOME": str(moorage.cwd / f"state{number}")}
        done = moorage("render", "a.py", "--json", "-", "-o", f"out{number}", env=key | state, code=0)
        assert done.statuses == {"a.py": status}
        assert key["MOORAGE_CACHE_KEY"] not in printed(moorage.cwd / f"out{number}/a.ipynb")
        assert not (moorage.cwd / f"state{number}").exists()
    done = moorage("render", "a.py", env={"MOORAGE_CACHE_KEY": "short"}, code=2)
    assert "too short" in done.stderr


@pytest.mark.parametrize("where", [".", "docs"])
def test_a_folder_of_the_users_is_no_cache(moorage: Command, where: str):
    files = dict.fromkeys((".gitignore", "blobs/aa/x", "runs/aa/x", "pruned"), "mine")
    write(moorage.cwd / where, files)
    write(moorage.cwd, {"a.py": script("print(1)")})
    before = contents(moorage.cwd)
    done = moorage("render", "a.py", "--cache", where, code=2)
    assert "not taken as a cache" in done.stderr
    assert contents(moorage.cwd) == before


@pytest.mark.parametrize("linked", [".moorage", ".moorage/cache", ".moorage/timings.json"])
def test_no_link_that_came_with_the_project_is_followed(moorage: Command, linked: str):
    write(moorage.cwd, {"p/a.py": script("print(1)"), "precious/blobs/aa/x": "mine", "precious.json": "mine"})
    (moorage.cwd / "p" / linked).parent.mkdir(exist_ok=True)
    target = "precious.json" if linked.endswith("json") else "precious"
    (moorage.cwd / "p" / linked).symlink_to(moorage.cwd / target)
    before = {name: data for name, data in contents(moorage.cwd).items() if name.startswith("precious")}
    for extra in ([], ["--force"]):
        moorage("render", "a.py", *extra, cwd=moorage.cwd / "p", code=0)
    after = contents(moorage.cwd)
    assert {name: data for name, data in after.items() if name.startswith("precious")} == before
    assert os.path.islink(moorage.cwd / "p" / linked)  # noqa: PTH114 - as typed


def test_in_a_project_the_cache_lies_at_its_top_and_ignores_itself(moorage: Command):
    write(moorage.cwd, {"docs/a.py": script("print(1)"), ".git/HEAD": "ref: refs/heads/main\n"})
    moorage("render", "docs", code=0)
    assert (moorage.cwd / ".moorage/.gitignore").read_text() == "*\n"
    assert not (moorage.cwd / "docs/.moorage").exists()
    moorage("render", "docs", "--no-cache", cwd=moorage.cwd, code=0)
