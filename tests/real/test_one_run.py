"""One run of many notebooks, and the same again: everything a batch promises, seen from outside."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from command import Command, Done, printed, script, typed_in, write

pytestmark = pytest.mark.real

KILLER = script(
    "import os, pathlib, signal",
    "tries = pathlib.Path('tries.txt')\n"
    "count = int(tries.read_text()) + 1 if tries.exists() else 1\n"
    "tries.write_text(str(count))",
    "if count < 2: os.kill(os.getpid(), signal.SIGKILL)",
    "print('attempt', min(count, 2))",  # what it counts with is of no cached result: it runs each time
)
SEEN = '# %% tags=["parameters"]\nalpha = 1\nname = ""\n\n' + script(
    "import json, os, sys\n"
    "print(json.dumps({'alpha': alpha, 'name': name, 'cwd': os.getcwd(), 'words': sys.argv,\n"
    "  'argv': get_ipython().kernel.parent.argv,\n"
    "  'colour': os.environ.get('COLOUR'), 'omp': os.environ.get('OMP_NUM_THREADS'),\n"
    "  'makeflags': os.environ.get('MAKEFLAGS')}))",
)
CONFIGURATION = """\
[notebook."deps/make.py"]
outputs = ["state.txt"]
[notebook."deps/sub/use.py"]
needs = [{file = "../state.txt", as = "start.txt"}]
[notebook."deps/breaks.py"]
outputs = ["never.txt"]
[notebook."deps/waits.py"]
needs = ["breaks.py"]
[notebook."deps/forgets.py"]
outputs = ["forgotten.txt"]
[notebook."optional.md"]
optional = true
[notebook."needy.py"]
needs = ["nowhere.h5"]
"""
KERNELSPEC = '{"cells": [], "metadata": {"kernelspec": {"name": "%s"}}, "nbformat": 4, "nbformat_minor": 5}'
FILES: dict[str, str | bytes] = {
    "moorage.toml": CONFIGURATION,
    "plain.py": script("print('plain')"),
    "seen.py": SEEN,
    "raises.py": script("print('before')", "1 / 0", "print('after')"),
    "killer.py": KILLER,
    "helped/helped.py": script("import helper\nprint(helper.word)"),
    "helped/helper.py": "word = 'one'\n",
    "helped/film.py": script("open('film.gif', 'w').write('GIF89a film')\nopen('both.gif', 'w').write('1')"),
    "helped/.pages": "title: Helped\n",
    "rival.py": script("open('helped/both.gif', 'w').write('22')"),
    "pair.py": script("print('from the text')"),
    "pair.ipynb": KERNELSPEC % "python3",
    "no_document.py": "print('no marker')\n",
    ".ipynb_checkpoints/old.py": script("print('old')"),
    "build/made.py": script("print('made')"),
    "deps/make.py": script("open('state.txt', 'w').write('the state')"),
    "deps/sub/use.py": script("print(open('start.txt').read())"),
    "deps/breaks.py": script("raise RuntimeError('broken on purpose')"),
    "deps/waits.py": script("print('never')"),
    "deps/forgets.py": script("print('nothing made')"),
    "needy.py": script("print('never')"),
    "optional.md": "---\njupyter:\n  kernelspec:\n    name: nolang\n    language: nolang\n---\n\n"
    "```nolang\nhello\n```\n",
    "broken/empty.ipynb": b"",
    "broken/binary.ipynb": bytes(range(256)),
    "broken/list.ipynb": "[]",
    'odd names/it\'s "quoted" \u00fc\u4e2d.py': script("print('odd')"),
    "odd names/" + "long" * 63 + ".py": script("print('long')"),
}
NAMED = {
    "stranger.ipynb": json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code",
                    "id": "only",
                    "source": ["print('stranger')"],
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                }
            ],
            "metadata": {"kernelspec": {"name": "conda-xyz", "language": "python", "display_name": "X"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    ),
}
GOOD = {
    "plain.py",
    "seen.py",
    "killer.py",
    "helped/helped.py",
    "helped/film.py",
    "rival.py",
    "pair.py",
    "deps/make.py",
    "deps/sub/use.py",
    'odd names/it\'s "quoted" \u00fc\u4e2d.py',
    "stranger.ipynb",
}
FLAGS = [
    *["-o", "site", "--to", "ipynb", "--artifacts", "*.gif", "--artifacts", "helped/*.gif"],
    *["--param", "alpha=2.5", "--param", "name=x=y", "--env", "COLOUR=red", "--kernel-arg", "--no-color"],
    *["--json", "-", "--junit", "told/junit.xml", "--report", "told/more/report.html"],
    *["--bundle", "told/site.tar.gz", "-j", "3", "--plain"],
]


@dataclass
class Tree:
    """What was rendered."""

    command: Command
    first: Done
    second: Done
    before: dict[str, str]
    after: dict[str, str]

    @property
    def site(self) -> Path:
        return self.command.cwd / "site"


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in {**FILES, **NAMED}}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    folder = write(tmp_path_factory.mktemp("it's a \u00fc tree"), {**FILES, **NAMED})
    with typed_in(folder) as command:
        before = digests(folder)
        first = command("render", ".", *FLAGS, env={"MAKEFLAGS": "k"}, code=1)
        for path in (folder / "site").rglob("*.gif"):
            path.unlink()
        (folder / "deps/state.txt").unlink()
        second = command("render", ".", *FLAGS, env={"MAKEFLAGS": "k"}, code=1)
        yield Tree(command, first, second, before, digests(folder))


def test_what_is_well_is_ok_and_the_second_time_cached(tree: Tree) -> None:
    good = {name for name, status in tree.first.statuses.items() if status == "ok"}
    assert good == GOOD
    cached = {name for name, status in tree.second.statuses.items() if status == "cached"}
    assert cached >= GOOD - {"killer.py", "rival.py", "helped/film.py"}


def test_what_does_not_count_is_left_out(tree: Tree) -> None:
    names = set(tree.first.notebooks)
    assert not names & {"pair.ipynb", "no_document.py", ".ipynb_checkpoints/old.py", "build/made.py"}
    assert "helped/helper.py" not in names
    assert printed(tree.site / "pair.ipynb") == "from the text\n"


def test_sources_are_never_changed(tree: Tree) -> None:
    assert tree.before == tree.after


def test_code_that_raised_is_written_up_to_the_error_and_not_tried_again(tree: Tree) -> None:
    said = tree.first.notebooks["raises.py"]
    assert (said["status"], said["attempts"]) == ("failed", 1)
    assert said["error"]["ename"] == "ZeroDivisionError"
    assert said["error"]["cell"] == 3  # as in the file it is to be looked up in: --param adds a cell
    assert printed(tree.site / "raises.ipynb") == "before\n"


def test_a_kernel_that_died_gets_another_attempt(tree: Tree) -> None:
    said = tree.first.notebooks["killer.py"]
    assert (said["status"], said["attempts"], said["error"]) == ("ok", 2, None)
    assert printed(tree.site / "killer.ipynb") == "attempt 2\n"


def test_who_depends_on_another_runs_after_it_with_its_link(tree: Tree) -> None:
    assert printed(tree.site / "deps/sub/use.ipynb") == "the state\n"
    assert not os.path.lexists(tree.command.cwd / "deps/sub/start.txt")


def test_a_failed_one_skips_its_dependants_and_says_why(tree: Tree) -> None:
    assert tree.first.statuses["deps/breaks.py"] == "failed"
    assert tree.first.statuses["deps/waits.py"] == "skipped"
    assert re.search(r"deps/waits\.py.*deps/breaks\.py", tree.first.stderr)


def test_a_declared_output_that_is_missing_is_a_failure(tree: Tree) -> None:
    said = tree.first.notebooks["deps/forgets.py"]
    assert said["status"] == "failed"
    assert "forgotten.txt" in said["error"]["evalue"]


def test_a_need_nobody_makes_is_told(tree: Tree) -> None:
    assert tree.first.statuses["needy.py"] == "skipped"
    assert "nowhere.h5" in tree.first.stderr


def test_an_optional_kernel_that_is_not_here_is_skipped(tree: Tree) -> None:
    assert tree.first.statuses["optional.md"] == "skipped"


@pytest.mark.parametrize("name", ["empty.ipynb", "binary.ipynb", "list.ipynb"])
def test_what_is_no_document_fails_with_a_sentence(tree: Tree, name: str) -> None:
    said = tree.first.notebooks[f"broken/{name}"]
    assert said["status"] == "failed"
    assert "(E-DOCUMENT)" in said["error"]["evalue"]
    assert said["output"] is None


def test_a_kernel_not_here_is_replaced_by_the_nearest_and_that_is_said(tree: Tree) -> None:
    assert re.search(r"stranger\.ipynb.*conda-xyz", tree.first.stderr)
    assert printed(tree.site / "stranger.ipynb") == "stranger\n"


def test_names_that_are_too_long_with_another_suffix_are_an_error_of_that_notebook(tree: Tree) -> None:
    name = next(name for name in tree.first.notebooks if "longlong" in name)
    assert tree.first.statuses[name] == "failed"
    assert "too long" in tree.first.notebooks[name]["error"]["evalue"]


def test_parameters_variables_arguments_and_threads_reach_the_kernel(tree: Tree) -> None:
    seen = json.loads(printed(tree.site / "seen.ipynb"))
    assert (seen["alpha"], seen["name"], seen["colour"]) == (2.5, "x=y", "red")
    assert "--no-color" in seen["argv"]
    assert seen["words"] == ["seen.py"]
    assert int(seen["omp"]) >= 1
    assert not seen["makeflags"]
    assert Path(seen["cwd"]) == tree.command.cwd


@pytest.mark.parametrize("done", ["first", "second"])
def test_artefacts_lie_beside_the_output_cached_or_not(tree: Tree, done: str) -> None:
    assert "helped/film.gif" in getattr(tree, done).notebooks["helped/film.py"]["artifacts"]
    assert (tree.site / "helped/film.gif").read_text() == "GIF89a film"


def test_two_that_write_the_same_file_are_told(tree: Tree) -> None:
    said = tree.first.stderr.replace("\n", " ")
    assert re.search(r"(rival\.py.*film\.py|film\.py.*rival\.py).*both\.gif", said)


def test_a_deleted_output_somebody_needs_is_restored(tree: Tree) -> None:
    assert tree.second.statuses["deps/make.py"] == "cached"
    assert (tree.command.cwd / "deps/state.txt").read_text() == "the state"


def test_results_are_written_although_notebooks_failed(tree: Tree) -> None:
    cases = {
        f"{case.get('classname')}/{case.get('name')}": case
        for case in ET.parse(tree.command.cwd / "told/junit.xml").iter("testcase")
    }
    assert len(cases) == len(tree.first.notebooks)
    assert cases["notebooks/raises.py"].find("failure") is not None
    assert "raises.py" in (tree.command.cwd / "told/more/report.html").read_text()


def test_the_bundle_holds_documents_artefacts_and_hidden_files(tree: Tree) -> None:
    with tarfile.open(tree.command.cwd / "told/site.tar.gz") as bundle:
        names = set(bundle.getnames())
    assert {"plain.ipynb", "helped/helped.ipynb", "helped/film.gif", "helped/.pages"} <= names
    assert "broken/empty.ipynb" not in names


def test_the_document_on_stdout_is_all_there_is(tree: Tree) -> None:
    assert set(json.loads(tree.first.stdout)) == {"moorage", "seconds", "notebooks"}
