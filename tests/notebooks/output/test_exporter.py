"""The process that makes pages."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from command import until
from moorage.errors import OutputError
from moorage.notebooks.output.export import ExportClient, ExporterGone
from moorage.notebooks.output.exporter import Exporter
from moorage.notebooks.output.writer import Writer
from moorage.process.local import Warden

pytestmark = pytest.mark.anyio

TEXT = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# A title"}
NOTEBOOK = {"cells": [TEXT], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def workers() -> set[int]:
    """Return the export processes of this user that a warden of this process started."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if (
            b"moorage.notebooks.output.export_worker" in words
            and f"EXPORTER_TEST={os.getpid()}".encode() in environment
        ):
            found.add(int(entry.name))
    return found


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPORTER_TEST", str(os.getpid()))
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(NOTEBOOK))
    return path


async def test_pages_share_one_process_that_ends_with_the_block(tmp_path, source):
    async with Warden.open() as warden:
        async with Exporter(warden) as exporter:
            for name in ("one.md", "two.md"):
                rest = {"folder": tmp_path, "writer": Writer(tmp_path), "remove_cells": ()}
                written = await exporter.convert(source, "md", tmp_path / name, **rest)
                assert written == [tmp_path / name]
                assert "# A title" in (tmp_path / name).read_text()
            assert len(workers()) == 1
        assert until(lambda: not workers())


async def test_nothing_is_started_before_the_first_page():
    async with Warden.open() as warden, Exporter(warden):
        assert not workers()


async def test_a_page_that_cannot_be_made_is_told_and_the_next_one_is_made(tmp_path, source):
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{")
    rest = {"folder": tmp_path, "writer": Writer(tmp_path), "remove_cells": ()}
    async with Warden.open() as warden, Exporter(warden) as exporter:
        with pytest.raises(OutputError, match="broken"):
            await exporter.convert(broken, "md", tmp_path / "b.md", **rest)
        assert await exporter.convert(source, "md", tmp_path / "x.md", **rest)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_process_that_is_gone_or_stopped_is_replaced(tmp_path, source, monkeypatch, signum):
    rest = {"folder": tmp_path, "writer": Writer(tmp_path), "remove_cells": ()}
    async with Warden.open() as warden, Exporter(warden) as exporter:
        assert await exporter.convert(source, "md", tmp_path / "a.md", **rest)
        (first,) = workers()
        monkeypatch.setattr("moorage.notebooks.output.export.SILENT", 5.0)
        os.kill(first, signum)
        async with asyncio.TaskGroup() as group:
            pages = [
                group.create_task(exporter.convert(source, "md", tmp_path / name, **rest))
                for name in ("b.md", "c.md")
            ]
        assert [page.result() for page in pages] == [[tmp_path / "b.md"], [tmp_path / "c.md"]]
        assert first not in workers()
        assert len(workers()) == 1


async def test_one_that_is_gone_again_is_told(tmp_path, source, monkeypatch):
    async def gone(*_, **__):
        raise ExporterGone("x cannot be written", why="the process that makes pages ended")

    monkeypatch.setattr("moorage.notebooks.output.export.ExportClient.convert", gone)
    async with Warden.open() as warden, Exporter(warden) as exporter:
        with pytest.raises(ExporterGone):
            await exporter.convert(
                source, "md", tmp_path / "a.md", folder=tmp_path, writer=Writer(tmp_path), remove_cells=()
            )


async def test_one_whose_wardens_are_killed_is_started_by_others(tmp_path, source, monkeypatch):
    rest = {"folder": tmp_path, "writer": Writer(tmp_path), "remove_cells": ()}
    convert, killed = ExportClient.convert, []

    async def killed_first(self, *arguments, **options):
        if len(killed) < 4:
            killed.append(warden_of(*workers()))
            os.kill(killed[-1], signal.SIGKILL)
        return await convert(self, *arguments, **options)

    monkeypatch.setattr(ExportClient, "convert", killed_first)
    async with Warden.open() as warden, Exporter(warden) as exporter:
        assert await exporter.convert(source, "md", tmp_path / "a.md", **rest)
        assert killed[0] == warden.pid
        assert len(set(killed)) == 4


def warden_of(worker):
    return int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
