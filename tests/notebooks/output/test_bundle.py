"""One archive, always the same, with what a website needs."""

from __future__ import annotations

import os
import tarfile
import zipfile

import pytest

from moorage.errors import OutputError, UsageError
from moorage.notebooks.output.bundle import (
    Member,
    bundle_format,
    flattened,
    hidden_files,
    layout,
    write_bundle,
)
from recording_guard import RecordingGuard


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"this is {name}")
    return {name: folder / name for name in names}


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("mantle/base_case/base_case.ipynb", "mantle/base_case.ipynb"),
        ("smoothing/smoothing.ipynb", "smoothing/smoothing.ipynb"),
        ("top.ipynb", "top.ipynb"),
        ("a/b/c/d.ipynb", "a/b/d.ipynb"),
        ("mantle/base_case/base_case.html", "mantle/base_case/base_case.html"),
    ],
)
def test_notebooks_move_up_by_one_directory(name, there):
    assert flattened(name) == there


def test_layout_keeps_artifacts_in_their_case_and_takes_hidden_files(tmp_path):
    documents = fill(tmp_path, "mantle/adjoint/forward.ipynb", "mantle/adjoint/adjoint.ipynb")
    artifacts = fill(tmp_path, "mantle/adjoint/film.gif")
    hidden = fill(tmp_path, ".pages", "mantle/.diagram.mermaid")
    assert [member.name for member in layout(documents, artifacts, hidden)] == [
        ".pages",
        "mantle/.diagram.mermaid",
        "mantle/adjoint.ipynb",
        "mantle/adjoint/film.gif",
        "mantle/forward.ipynb",
    ]
    renamed = layout(documents, artifacts, hidden, renames={".pages": "CONTENTS.md"})
    assert "CONTENTS.md" in [member.name for member in renamed]


def test_documents_that_would_meet_stay_where_they_are(tmp_path):
    documents = fill(tmp_path, "a/b/x.ipynb", "a/c/x.ipynb", "a/d/y.ipynb", "a/y.ipynb", "a/e/z.ipynb")
    assert [member.name for member in layout(documents, {}, {})] == [
        "a/b/x.ipynb",
        "a/c/x.ipynb",
        "a/d/y.ipynb",
        "a/y.ipynb",
        "a/z.ipynb",
    ]


def test_a_missing_artifact_is_told(tmp_path):
    with pytest.raises(OutputError, match=r"film\.gif"):
        layout({}, {"a/film.gif": tmp_path / "film.gif"}, {})


def test_hidden_files_without_secrets(tmp_path):
    fill(tmp_path, ".pages", ".env", ".gitignore", ".bashrc", ".token", "mantle/.diagram.mermaid", "mantle/x")
    fill(tmp_path, "mantle/base/.nav.yml", "elsewhere/.pages", ".git/config", ".private")
    (tmp_path / ".private").chmod(0o600)
    (tmp_path / ".passing").symlink_to("/etc/passwd")
    found = hidden_files(tmp_path, ["mantle/base/base.py"])
    assert sorted(found) == [".pages", "mantle/.diagram.mermaid", "mantle/base/.nav.yml"]
    assert found[".pages"] == tmp_path / ".pages"


def members(tmp_path, *names):
    return [Member(name, path) for name, path in fill(tmp_path, *names).items()]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz", ".zip"])
def test_the_same_contents_give_the_same_bytes(tmp_path, suffix, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    files = members(tmp_path / "x", "b/ü.ipynb", "a.gif", "c" * 150 + "/d.txt")
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    write_bundle(one, files)
    for member in files:
        os.utime(member.path, (1, 1))
    write_bundle(two, reversed(files))
    assert one.read_bytes() == two.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [one.name, two.name, "x"]
    if suffix == ".zip":
        with zipfile.ZipFile(one) as archive:
            assert archive.namelist() == ["a.gif", "b/ü.ipynb", "c" * 150 + "/d.txt"]
            assert archive.read("a.gif") == b"this is a.gif"
            assert archive.infolist()[0].external_attr >> 16 == 0o100644
    else:
        with tarfile.open(one) as archive:
            assert archive.getnames() == ["a.gif", "b/ü.ipynb", "c" * 150 + "/d.txt"]
            assert {(m.uid, m.gid, m.uname, m.mtime, m.mode) for m in archive} == {(0, 0, "", 0, 0o644)}


def test_source_date_epoch(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    write_bundle(tmp_path / "x.tar.gz", members(tmp_path, "a"))
    with tarfile.open(tmp_path / "x.tar.gz") as archive:
        assert archive.getmember("a").mtime == 1_700_000_000


def test_an_unknown_suffix_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="suffix"):
        bundle_format(tmp_path / "x.rar")


def test_guard_is_told_and_a_failure_leaves_the_old_archive(tmp_path):
    guard = RecordingGuard()
    target = tmp_path / "out" / "x.tar.gz"
    write_bundle(target, members(tmp_path, "a"), guard=guard)
    before = target.read_bytes()
    with pytest.raises(OutputError):
        write_bundle(target, [Member("b", tmp_path / "missing")], guard=guard)
    assert target.read_bytes() == before
    assert [each.what for each in guard.calls] == ["guard", "unguard"] * 2
    assert [path.name for path in target.parent.iterdir()] == ["x.tar.gz"]
