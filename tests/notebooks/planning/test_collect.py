from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from moorage.errors import UsageError
from moorage.notebooks.planning.collect import collect
from moorage.notebooks.planning.settings import Configuration

CELLS = "# %%\n1 + 1\n"
PAIRED = "# ---\n# jupyter:\n#   jupytext:\n#     formats: ipynb,py:percent\n# ---\n\n# %%\n1 + 1\n"


def put(root: Path, *names: str, text: str = CELLS) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}" if name.endswith(".ipynb") else text)


def run(cwd: Path, *sources: str, out: str | None = None, **configuration):
    settings = Configuration(None, cwd, **configuration)
    return collect(sources, out=None if out is None else Path(out), configuration=settings, cwd=cwd)


def names(*arguments, **rest) -> list[str]:
    return [file.name for file in run(*arguments, **rest).files]


def test_outputs_mirror_the_tree_below_what_was_named(tmp_path):
    put(tmp_path, "demos/a/x.py", "demos/y.ipynb")
    collection = run(tmp_path, "demos")
    assert collection.root == tmp_path / "demos"
    assert collection.out_dir == tmp_path / "rendered"
    assert {file.name: file.output for file in collection.files} == {
        "y.ipynb": tmp_path / "rendered/y.ipynb",
        "a/x.py": tmp_path / "rendered/a/x.ipynb",
    }
    assert all(file.path.is_absolute() for file in collection.files)


def test_the_common_ancestor_of_files_and_folders_is_the_root(tmp_path):
    put(tmp_path, "p/demos/a/x.py", "p/talks/y.py")
    collection = run(tmp_path, "p/demos", "p/talks/y.py", out="site")
    assert collection.root == tmp_path / "p"
    assert [file.name for file in collection.files] == ["demos/a/x.py", "talks/y.py"]
    assert collection.files[0].output == tmp_path / "site/demos/a/x.ipynb"


def test_a_named_file_always_counts_and_a_script_in_a_walk_must_look_like_one(tmp_path):
    put(tmp_path, "plain.py", "helper.py", text="x = 1\n")
    put(tmp_path, "cells.py")
    assert names(tmp_path, ".") == ["cells.py"]
    assert names(tmp_path, ".", documents=("pl*.py",)) == ["cells.py", "plain.py"]
    assert names(tmp_path, "plain.py") == ["plain.py"]
    assert names(tmp_path, ".", "plain.py") == ["cells.py", "plain.py"]


def test_a_named_file_counts_even_when_ignored_excluded_or_hidden(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    put(tmp_path, ".hidden/x.py", "build/y.py", "z.py", "ok.py")
    (tmp_path / ".gitignore").write_text("z.py")
    assert names(tmp_path, ".") == ["ok.py"]
    assert names(tmp_path, ".hidden/x.py", "build/y.py", "z.py", "ok.py", exclude=("ok.py",)) == [
        ".hidden/x.py",
        "build/y.py",
        "z.py",
        "ok.py",
    ]


def test_named_twice_is_once(tmp_path):
    put(tmp_path, "a/x.py")
    assert names(tmp_path, "a", "a/x.py", "./a/../a/x.py", "a/") == ["x.py"]


def test_globs_the_shell_left_are_expanded(tmp_path):
    put(tmp_path, "a/x.py", "a/b/y.py", "a/z.txt")
    assert names(tmp_path, "a/**/*.py") == ["b/y.py", "x.py"]
    assert names(tmp_path, "a/*") == ["b/y.py", "x.py"]
    put(tmp_path, "we[ird]*.py")
    assert names(tmp_path, "we[ird]*.py") == ["we[ird]*.py"]


def test_the_out_folder_is_never_walked(tmp_path):
    put(tmp_path, "x.py", "site2/old.ipynb", "rendered/x.ipynb")
    assert names(tmp_path, ".", out="site2") == ["x.py"]


def test_excluded_paths_are_relative_to_the_configuration(tmp_path):
    put(tmp_path, "demos/x.py", "demos/drafts/y.py", "drafts/z.py")
    assert names(tmp_path, "demos", exclude=("demos/drafts",)) == ["x.py"]
    assert names(tmp_path, "demos", exclude=("drafts",)) == ["x.py", "drafts/y.py"]
    assert names(tmp_path, "demos", exclude=("**/y.*",)) == ["x.py"]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ("text", {"a.py": "a.ipynb", "b.md": "b.ipynb", "c.ipynb": "c.ipynb"}),
        ("ipynb", {"a.ipynb": "a.ipynb", "b.ipynb": "b.ipynb", "c.ipynb": "c.ipynb"}),
        (
            "both",
            {
                "a.ipynb": "a.ipynb",
                "a.py": "a.py.ipynb",
                "b.ipynb": "b.ipynb",
                "b.md": "b.md.ipynb",
                "c.ipynb": "c.ipynb",
            },
        ),
    ],
)
def test_pairs(tmp_path, pairs, expected):
    put(tmp_path, "a.ipynb", "b.ipynb", "c.ipynb")
    put(tmp_path, "a.py", text=PAIRED)
    put(tmp_path, "b.md", text="---\njupyter: {}\njupytext:\n  formats: md:myst,ipynb\n---\n")
    put(tmp_path, "c.py", text="import helper\n")  # no document: not half of a pair
    collection = run(tmp_path, ".", pairs=pairs)
    assert {file.name: file.output.name for file in collection.files} == expected
    assert collection.notes == collection.warnings == ()


def test_a_pair_named_on_the_command_line_is_one_document_and_said(tmp_path):
    put(tmp_path, "a.ipynb")
    put(tmp_path, "a.py", text=PAIRED)
    collection = run(tmp_path, "a.ipynb", "a.py")
    assert [file.name for file in collection.files] == ["a.py"]
    assert collection.notes == (
        "a.ipynb is one document with its text, which is the source (pairs = 'text' in the configuration)",
    )
    assert names(tmp_path, "a.ipynb") == ["a.ipynb"]
    assert names(tmp_path, ".", "a.ipynb") == ["a.ipynb"]
    assert names(tmp_path, ".", "a.py", pairs="ipynb") == ["a.py"]


def test_files_of_one_name_that_no_pair_are_told_once_in_a_run(tmp_path):
    put(tmp_path, "docs/a.py", "docs/a.ipynb")
    beside = "beside it is, though jupytext does not pair the two. Exclude one"
    otherwise = 'in moorage.toml), render both (pairs = "both"), or pair them (jupytext\'s formats: ipynb,py)'
    assert run(tmp_path, "docs").warnings == (
        f'docs/a.ipynb is not rendered: a.py {beside} (exclude = ["docs/a.ipynb"] {otherwise}',
    )
    assert run(tmp_path, "docs", pairs="ipynb").warnings == (
        f'docs/a.py is not rendered: a.ipynb {beside} (exclude = ["docs/a.py"] {otherwise}',
    )
    assert run(tmp_path, "docs", pairs="both").warnings == ()
    assert run(tmp_path, "docs", exclude=("docs/a.ipynb",)).warnings == ()
    assert run(tmp_path, "docs/a.py").warnings == ()
    named = run(tmp_path, "docs/a.py", "docs/a.ipynb")
    assert [len(named.files), len(named.warnings), named.notes] == [1, 1, ()]
    put(tmp_path, "docs/b.py", "docs/b.ipynb", "docs/c.py", "docs/c.ipynb")
    (told,) = run(tmp_path, ".").warnings
    assert told.startswith("docs/a.ipynb is not rendered, nor are 2 more such files: a.py beside it is")


def test_one_source_may_name_its_output(tmp_path):
    put(tmp_path, "a/x.py", "a/y.py")
    collection = run(tmp_path, "a/x.py", out="made/new.ipynb")
    assert collection.files[0].output == collection.out_file == tmp_path / "made/new.ipynb"
    page = run(tmp_path, "a/x.py", out="made/new.html")
    assert page.out_file == tmp_path / "made/new.html"
    assert page.files[0].output == tmp_path / "made/new.ipynb"
    with pytest.raises(UsageError, match=r"-o new\.ipynb is one file, but there are 2 sources"):
        run(tmp_path, "a", out="new.ipynb")
    (tmp_path / "dir.md").mkdir()
    assert run(tmp_path, "a/x.py", out="dir.md").files[0].output == tmp_path / "dir.md/x.ipynb"


def test_two_sources_for_one_output_are_refused(tmp_path):
    put(tmp_path, "x.py", "x.md")
    with pytest.raises(UsageError, match=r"x\.py and x\.md would both be written to rendered/x\.ipynb"):
        run(tmp_path, "x.py", "x.md")


def test_rendering_beside_the_texts_works_again_and_again(tmp_path):
    put(tmp_path, "x.py")
    assert run(tmp_path, ".", out=".").files[0].output == tmp_path / "x.ipynb"
    put(tmp_path, "x.ipynb")
    assert names(tmp_path, ".", out=".") == ["x.py"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("demo/x.py", "demo/x.py is not there (E-USAGE). Did you mean {}/demos?"),
        ("demos/xx.py", "Did you mean {}/demos/x.py?"),
        ("q*.py", "q*.py is not there (E-USAGE)."),
        ("data.csv", "data.csv is no document moorage knows (E-USAGE). its suffix is '.csv'. Known are"),
        ("Makefile", "it has no suffix"),
        ("loop.py", "loop.py cannot be reached (E-USAGE). Too many levels of symbolic links."),
        ("demos/x.py/y.py", "demos/x.py/y.py is not there"),
        ("pipe.py", "pipe.py is neither a file nor a folder"),
        (
            "empty",
            "no notebooks found in empty (not entered: build/) (E-USAGE). In folders a script counts when",
        ),
    ],
)
def test_sources_that_cannot_be(tmp_path, source, text):
    put(tmp_path, "demos/x.py", "data.csv", "Makefile", "empty/build/x.py")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "loop.py").symlink_to("loop.py")
    with pytest.raises(UsageError) as caught:
        run(tmp_path, source)
    assert text.format(tmp_path) in str(caught.value)


def test_no_sources_and_an_empty_folder_beside_a_full_one(tmp_path):
    with pytest.raises(UsageError, match="nothing to render was named"):
        run(tmp_path)
    put(tmp_path, "demos/x.py", "empty/readme.txt")
    collection = run(tmp_path, "demos", "empty")
    assert [file.name for file in collection.files] == ["demos/x.py"]
    assert collection.notes == (f"{tmp_path}/empty: no notebooks found",)


def test_an_empty_path_is_no_folder(tmp_path):
    put(tmp_path, "a.ipynb")
    with pytest.raises(UsageError, match="an empty path was named"):
        run(tmp_path, "a.ipynb", "")
