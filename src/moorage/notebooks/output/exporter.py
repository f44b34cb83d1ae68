"""The process that makes pages (html, md), started when the first page is wanted."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary

from moorage.errors import WardenLost
from moorage.json_types import JsonObject
from moorage.process.warden.shared import shared_warden

if TYPE_CHECKING:
    from moorage.notebooks.output.export import ExportClient, Target
    from moorage.notebooks.output.writer import Writer
    from moorage.process.warden.client import Warden

_MOST_LOSSES = 10
"""Wardens that may be lost under one page."""
_ANSWER = 3.0
"""Seconds in which a warden answers, or counts as lost."""


class Exporter:
    """Makes pages in a process of its own, because nbconvert blocks, and takes seconds to import.

    Use it as ``async with``: leaving the block ends the process.
    """

    def __init__(self, warden: Warden) -> None:
        """Describe it; nothing is started before the first page.

        Args:
            warden: parent of the process, for as long as it lives.
        """
        self._warden = warden
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()
        self._client: ExportClient | None = None
        self._wardens: WeakKeyDictionary[ExportClient, Warden] = WeakKeyDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def start(self, instead_of: ExportClient | None = None) -> ExportClient:
        """Start the process unless it runs, and return the client that speaks to it.

        Args:
            instead_of: the client of a process that is gone or silent: it is ended first.
        """
        async with self._lock:
            if self._client is instead_of and self._client is not None:
                self._client = None
                stack, self._stack = self._stack, AsyncExitStack()
                await stack.aclose()
            if self._client is None:
                self._client = await self._start()
            return self._client

    async def convert(
        self,
        source: Path,
        to: Target,
        out: Path,
        *,
        folder: Path,
        writer: Writer,
        remove_cells: Iterable[str],
        links: Mapping[str, str] | None = None,
    ) -> list[Path]:
        """Make one page; see :meth:`moorage.notebooks.output.export.ExportClient.convert`.

        A process that is gone or silent is replaced once; one that ended with its warden, up to ten times.
        """
        from moorage.notebooks.output.export import ExporterGone

        rest: JsonObject = {
            "folder": folder,
            "writer": writer,
            "remove_cells": remove_cells,
            "links": links,
        }
        client, gone, losses = None, 0, 0
        while True:
            try:
                client = await self.start(instead_of=client)
                return await client.convert(source, to, out, **rest)
            except WardenLost:  # while the process was started
                losses += 1
                if losses > _MOST_LOSSES:
                    raise
            except ExporterGone:
                lost = client is not None and not await _answers(self._wardens[client])
                gone, losses = gone + (not lost), losses + lost
                if gone > 1 or losses > _MOST_LOSSES:
                    raise

    async def _start(self) -> ExportClient:
        from moorage.notebooks.output.export import ExportClient
        from moorage.process.base import LocalSpec
        from moorage.process.local import LocalLauncher

        lost = self._warden.link.lost
        warden = await self._stack.enter_async_context(shared_warden()) if lost else self._warden
        ours, theirs = socket.socketpair()
        spec = LocalSpec(
            argv=(sys.executable, "-m", "moorage.notebooks.output.export_worker"),
            cwd=str(warden.directory),
            env=dict(os.environ),
            stdin=theirs.fileno(),
        )
        try:
            await self._stack.enter_async_context(LocalLauncher(warden).launch(spec))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        client = await self._stack.enter_async_context(ExportClient(ours))
        self._wardens[client] = warden
        return client


async def _answers(warden: Warden) -> bool:
    """Whether a warden still lives: what it started may be seen to end before it does."""
    try:
        return await warden.link.answers(_ANSWER)
    except WardenLost:
        return False
