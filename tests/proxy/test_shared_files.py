"""Which installed files are served, and what is held of them."""

from __future__ import annotations

import asyncio
import gzip
import os
from pathlib import Path

import pytest

from moorage.proxy import shared_files
from moorage.proxy.shared_files import SharedFiles

pytestmark = pytest.mark.anyio

HASH = "0123456789abcdef"
SCRIPT = b"let a = 1;\n" * 500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "static"
    (made / "@a/b/static").mkdir(parents=True)
    (made / f"1.{HASH}.js").write_bytes(SCRIPT)
    (made / f"{HASH}.woff2").write_bytes(SCRIPT)
    (made / f"vendors-a_b-c.{HASH}{HASH}.js").write_bytes(SCRIPT)
    (made / f"@a/b/static/remoteEntry.{HASH}.js").write_bytes(SCRIPT)
    for name in (
        "style.js",
        "index.html",
        f"{HASH}.html",
        f"{HASH[:10]}.js",
        f".{HASH}.js",
        f"{HASH}",
        "a.0.js",
    ):
        (made / name).write_bytes(b"x")
    (tmp_path / f"secret.{HASH}.js").write_bytes(b"secret")
    return made


@pytest.fixture
def files(folder: Path) -> SharedFiles:
    return SharedFiles({"static/lab": [folder.parent / "none", folder]})


@pytest.mark.parametrize(
    "name",
    [f"1.{HASH}.js", f"{HASH}.woff2", f"vendors-a_b-c.{HASH}{HASH}.js", f"@a/b/static/remoteEntry.{HASH}.js"],
)
def test_names_with_a_hash_are_found(files: SharedFiles, folder: Path, name: str) -> None:
    found = files.find(f"/static/lab/{name}".encode())
    assert found is not None
    assert found.path == str(folder / name)


@pytest.mark.parametrize(
    "path",
    [
        *(
            f"/static/lab/{name}"
            for name in ("style.js", "index.html", f"{HASH}.html", f"{HASH[:10]}.js", "")
        ),
        *(f"/static/lab/{name}" for name in (f".{HASH}.js", HASH, "a.0.js", f"2.{HASH}.js")),
        f"/static/lab/../secret.{HASH}.js",
        f"/static/lab//1.{HASH}.js",
        f"/static/lab/@a/../1.{HASH}.js",
        f"/static/lab/./1.{HASH}.js",
        f"/static/lab/1.{HASH}.js/",
        f"/static/1.{HASH}.js",
        f"/static/lab1.{HASH}.js",
        f"/static/lab/{'a/' * 3000}1.{HASH}.js",
        f"/static/lab/{'a' * 3000}.{HASH}.js",
    ],
)
def test_what_else_there_is_is_not(files: SharedFiles, path: str) -> None:
    assert files.find(path.encode()) is None


def test_what_lies_outside_is_not_found(files: SharedFiles, folder: Path) -> None:
    secret = folder.parent / f"secret.{HASH}.js"
    (folder / f"link.{HASH}.js").symlink_to(secret)
    (folder / "out").symlink_to(folder.parent)
    (folder / f"folder.{HASH}.js").mkdir()
    os.mkfifo(folder / f"pipe.{HASH}.js")
    for name in (f"link.{HASH}.js", f"out/secret.{HASH}.js", f"folder.{HASH}.js", f"pipe.{HASH}.js"):
        assert files.find(f"/static/lab/{name}".encode()) is None


async def test_a_folder_whose_names_need_no_hash(folder: Path) -> None:
    files = SharedFiles({"a": [folder]}, {"a"})
    assert files.find(b"/a/index.html") is None
    assert files.find(b"/a/.style.js") is None
    found = files.find(b"/a/style.js")
    assert found is not None
    held = await files.load(found, zipped=True)
    assert (held.data, held.facts.fields.partition(b"\r\n")[0]) == (b"x", b"Cache-Control: no-cache")
    hashed = files.find(f"/a/1.{HASH}.js".encode())
    assert hashed is not None
    assert hashed.hashed


def test_a_folder_that_is_a_link_is_one(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert SharedFiles({"a": [tmp_path / "link"]}).find(f"/a/1.{HASH}.js".encode()) is not None


def test_a_large_file_is_not_found(files: SharedFiles, folder: Path) -> None:
    with (folder / f"1.{HASH}.js").open("wb") as file:
        file.truncate(shared_files.LARGEST + 1)
    assert files.find(f"/static/lab/1.{HASH}.js".encode()) is None


async def test_a_file_is_compressed_once(files: SharedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    compress = gzip.compress

    def counted(data: bytes, *arguments: int, **named: int) -> bytes:
        made.append(len(data))
        return compress(data, *arguments, **named)

    monkeypatch.setattr(shared_files.gzip, "compress", counted)
    found = files.find(f"/static/lab/1.{HASH}.js".encode())
    assert found is not None
    assert files.held(found, zipped=True) is None
    async with asyncio.TaskGroup() as tasks:
        loads = [tasks.create_task(files.load(found, zipped=True)) for _ in range(8)]
    assert made == [len(SCRIPT)]
    first = loads[0].result()
    assert all(each.result() is first for each in loads)
    assert files.held(found, zipped=True) is first
    assert gzip.decompress(first.data) == SCRIPT
    assert (first.facts.zipped, first.facts.size) == (True, len(first.data))
    assert first.facts.kind == b"text/javascript; charset=utf-8"
    assert b"immutable" in first.facts.fields
    plain = await files.load(found, zipped=False)
    assert (plain.data, plain.facts.zipped, plain.facts.tag) == (SCRIPT, False, first.facts.tag)


async def test_what_compression_does_not_help_is_held_once(files: SharedFiles, folder: Path) -> None:
    font = files.find(f"/static/lab/{HASH}.woff2".encode())
    assert font is not None
    zipped, plain = await files.load(font, zipped=True), await files.load(font, zipped=False)
    assert zipped is plain
    assert zipped.data == SCRIPT
    (folder / f"3.{HASH}.js").write_bytes(noise := os.urandom(100))
    script = files.find(f"/static/lab/3.{HASH}.js".encode())
    assert script is not None
    held = await files.load(script, zipped=True)
    assert (held.data, held.facts.zipped) == (noise, False)


async def test_a_changed_file_is_seen(files: SharedFiles, folder: Path) -> None:
    path = f"/static/lab/1.{HASH}.js".encode()
    old = files.find(path)
    assert old is not None
    await files.load(old, zipped=False)
    (folder / "new").write_bytes(b"let a = 2;\n")
    (folder / "new").rename(folder / f"1.{HASH}.js")
    new = files.find(path)
    assert new is not None
    assert files.held(new, zipped=False) is None
    with pytest.raises(OSError, match="has changed"):
        await files.load(old, zipped=False)
    assert (await files.load(new, zipped=False)).data == b"let a = 2;\n"
    (folder / f"1.{HASH}.js").unlink()
    assert files.find(path) is None
    with pytest.raises(FileNotFoundError):
        await files.load(old, zipped=True)


async def test_so_much_is_held_and_no_more(folder: Path) -> None:
    files = SharedFiles({"a": [folder]}, held_bytes=2 * len(SCRIPT))
    names = [f"{number}.{HASH}.js" for number in range(4)]
    found = []
    for name in names:
        (folder / name).write_bytes(SCRIPT)
        file = files.find(f"/a/{name}".encode())
        assert file is not None
        await files.load(file, zipped=False)
        found.append(file)
        if len(found) == 3:
            assert files.held(found[1], zipped=False) is not None  # used last, so the other goes
    assert files.held_bytes == 2 * len(SCRIPT)
    assert [files.held(each, zipped=False) is not None for each in found] == [False, True, False, True]


async def test_a_waiter_that_leaves_takes_nothing_from_the_others(files: SharedFiles) -> None:
    found = files.find(f"/static/lab/1.{HASH}.js".encode())
    assert found is not None
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(files.load(found, zipped=True))
        second = tasks.create_task(files.load(found, zipped=True))
        await asyncio.sleep(0)
        first.cancel()
        assert gzip.decompress((await second).data) == SCRIPT
