"""A folder as a zip file."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import threading
import zipfile
from pathlib import Path

import pytest

from moorage.temp import archive
from moorage.temp.archive import zipped

pytestmark = pytest.mark.anyio


async def read(folder: Path) -> zipfile.ZipFile:
    data = b"".join([piece async for piece in zipped(folder)])
    found = zipfile.ZipFile(io.BytesIO(data))
    assert found.testzip() is None
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("of others")
    folder = tmp_path / "work"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a.txt").write_text("a" * 1000)
    (folder / "deep" / "é.bin").write_bytes(os.urandom(3 * archive.PIECE + 5))
    (folder / "run.sh").write_text("#!/bin/sh")
    (folder / "run.sh").chmod(0o755)
    return folder


async def test_all_files_are_in_it_as_they_are(folder: Path) -> None:
    found = await read(folder)
    assert sorted(found.namelist()) == ["a.txt", "deep/", "deep/er/", "deep/é.bin", "run.sh"]
    assert found.read("deep/é.bin") == (folder / "deep" / "é.bin").read_bytes()
    assert found.read("a.txt") == b"a" * 1000
    assert stat.S_IMODE(found.getinfo("run.sh").external_attr >> 16) == 0o755


async def test_an_empty_folder_is_an_empty_archive(tmp_path: Path) -> None:
    assert (await read(tmp_path)).namelist() == []


async def test_links_are_followed_nowhere_and_pipes_hold_nothing_up(folder: Path) -> None:
    (folder / "link").symlink_to("../secret")
    (folder / "out").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe")
    (folder / "old").write_text("x")
    os.utime(folder / "old", (0, 0))
    found = await read(folder)
    assert stat.S_ISLNK(found.getinfo("link").external_attr >> 16)
    assert found.read("link") == b"../secret"
    assert not [name for name in found.namelist() if name.startswith(("out/", "pipe"))]
    assert found.getinfo("old").date_time[0] == 1980


async def test_a_file_that_is_exchanged_for_a_link_is_left_out(folder: Path, monkeypatch) -> None:
    real = archive._entries

    def exchanged(path: Path):
        for name, found, directory in real(path):
            if name == "a.txt":
                (folder / name).unlink()
                (folder / name).symlink_to("../secret")
            yield name, found, directory

    monkeypatch.setattr(archive, "_entries", exchanged)
    assert "a.txt" not in (await read(folder)).namelist()


async def test_what_is_not_taken_is_not_read_ahead_and_leaving_ends_it(folder: Path) -> None:
    (folder / "big").write_bytes(os.urandom(40 * archive.PIECE))
    pieces = zipped(folder)
    assert await anext(pieces)
    await pieces.aclose()
    async with asyncio.timeout(60):
        while any(each.name == "zip a visitor's files" for each in threading.enumerate()):
            await asyncio.sleep(0.01)


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await read(tmp_path / "nowhere")
