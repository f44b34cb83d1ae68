"""What a notebook made is found and copied; what it did not make is left."""

from __future__ import annotations

import pytest

from moorage.errors import UsageError
from moorage.notebooks.output.artifacts import Artifact, collect, compare, place, snapshot
from moorage.notebooks.output.writer import Writer


@pytest.fixture
def demos(tmp_path):
    (tmp_path / "root" / "demos").mkdir(parents=True)
    return tmp_path / "root" / "demos"


def write(folder, *names, text="x"):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def found(demos, patterns, make, *, outputs=(), exclude=()):
    before = snapshot(demos, [*patterns, *outputs], root=demos.parent, exclude=exclude)
    make()
    after = compare(before, outputs=outputs)
    return [artifact.name for artifact in after.artifacts], after.missing


def test_new_and_changed_files_are_found_and_old_ones_are_not(demos):
    write(demos, "old.gif", "changed.gif")

    def make():
        write(demos, "new.gif", "changed.gif", "new.png", "sub/new.gif", text="other")

    assert found(demos, ["*.gif"], make) == (["changed.gif", "new.gif"], ())


def test_a_file_replaced_by_an_equal_one_is_changed(demos):
    write(demos, "a.gif")

    def make():
        write(demos, "b.tmp")
        (demos / "b.tmp").rename(demos / "a.gif")

    assert found(demos, ["*.gif"], make)[0] == ["a.gif"]


def test_a_declared_output_counts_untouched_and_its_absence_is_told(demos):
    write(demos, "mesh.msh", "old.h5")
    assert found(demos, [], lambda: None, outputs=["mesh.msh", "late.h5", "*.h5"]) == (
        ["mesh.msh"],
        ("late.h5",),
    )


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**/*.gif", ["a.gif", "sub/b.gif", "sub/deep/c.gif"]),
        ("sub/**", ["sub/b.gif", "sub/d.txt", "sub/deep/c.gif"]),
        ("sub", ["sub/b.gif", "sub/d.txt", "sub/deep/c.gif"]),
        ("sub/", ["sub/b.gif", "sub/d.txt", "sub/deep/c.gif"]),
        ("s*/*.gif", ["sub/b.gif"]),
        ("[ab].gif", ["a.gif"]),
        ("*", ["a.gif"]),
        (".pages", [".pages"]),
        (".p*", [".pages"]),
        ("sub/.*", ["sub/.hidden"]),
        ("../other/*.gif", ["../other/e.gif"]),
        ("./a.gif", ["a.gif"]),
        ("missing/*.gif", []),
    ],
)
def test_patterns(demos, pattern, names):
    def make():
        write(demos, "a.gif", ".pages", "sub/b.gif", "sub/deep/c.gif", "sub/d.txt", "sub/.hidden")
        write(demos, ".hidden/x.gif", "__pycache__/y.gif", "../other/e.gif")

    assert found(demos, [pattern], make)[0] == names


@pytest.mark.parametrize("pattern", ["../../*.gif", "sub/../../../x", "/etc/passwd", "", " "])
def test_patterns_that_lead_out_are_refused(demos, pattern):
    with pytest.raises(UsageError):
        snapshot(demos, [pattern], root=demos.parent)


def test_symbolic_links_lead_no_further_than_the_root(demos, tmp_path):
    write(tmp_path / "outside", "secret.gif")
    write(demos.parent / "inside", "fine.gif")

    def make():
        (demos / "file.gif").symlink_to(tmp_path / "outside" / "secret.gif")
        (demos / "dir").symlink_to(tmp_path / "outside")
        (demos / "near").symlink_to("../inside")
        (demos / "near.gif").symlink_to("../inside/fine.gif")
        (demos / "loop").symlink_to(".")
        (demos / "broken.gif").symlink_to("nowhere")

    assert found(demos, ["**/*.gif", "dir/*.gif", "near/*.gif", "loop"], make)[0] == [
        "loop/near.gif",
        "near.gif",
        "near/fine.gif",
    ]


def test_excluded_folders_are_left_out(demos):
    out = demos / "rendered"
    assert found(demos, ["**/*"], lambda: write(demos, "a", "rendered/a"), exclude=[out])[0] == ["a"]


def test_copies_keep_the_relative_path_and_are_no_links(demos, tmp_path):
    write(demos, "film.gif", "sub/x.h5", "../shared/data.csv")
    names = ["film.gif", "sub/x.h5", "../shared/data.csv"]
    artifacts = [Artifact(name, (demos / name).resolve(), changed=True) for name in names]
    out = tmp_path / "out"
    placed = collect(artifacts, out / "demos", within=out, put=Writer(out).put)
    assert placed == (out / "demos/film.gif", out / "demos/sub/x.h5", out / "shared/data.csv")
    assert all(path.read_text() == "x" and path.stat().st_nlink == 1 for path in placed)
    assert place(artifacts[2], out / "demos") == out / "demos/shared/data.csv"


def test_an_output_folder_that_is_the_sources_needs_no_copy(demos):
    write(demos, "film.gif")
    before = (demos / "film.gif").stat()
    made = [Artifact("film.gif", demos / "film.gif", changed=True)]
    assert collect(made, demos, put=Writer(demos).put) == (demos / "film.gif",)
    assert (demos / "film.gif").stat().st_ino == before.st_ino


@pytest.mark.parametrize("pattern", ["/".join(["**"] * 100), "*a" * 500 + "b", "/".join(["**/*"] * 50)])
def test_no_pattern_takes_exponential_time(demos, pattern):
    deep = "/".join(["aaaaaaaaaaaaaaaaaaaaaaaa"] * 12)
    write(demos, f"{deep}/x.txt", *(f"{n}/y.txt" for n in range(10)))
    before = snapshot(demos, [pattern], root=demos.parent)
    assert f"{deep}/x.txt" not in before.states
    assert len(before.states) in {0, 1, 11}
