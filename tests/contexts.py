"""A planned run of real files with a real warden, up to the point where notebooks would start."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moorage.notebooks.cache.cache import ResultCache
from moorage.notebooks.events import Event, Note
from moorage.notebooks.execution.context import Context, Folders, Launching, Results
from moorage.notebooks.execution.kernels import identity
from moorage.notebooks.execution.links import Links
from moorage.notebooks.execution.run_warden import RunWarden
from moorage.notebooks.output.exporter import Exporter
from moorage.notebooks.output.writer import Writer
from moorage.notebooks.planning.plan import Plan, find_documents, make_plan
from moorage.notebooks.planning.request import RenderRequest
from moorage.notebooks.planning.settings import configuration_for, merge
from moorage.process.local import Warden


@dataclass(frozen=True)
class Planned:
    """A run before it begins."""

    context: Context
    plan: Plan
    events: list[Event]

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]


def request_in(folder: Path, sources: Sequence[str], **flags: Any) -> RenderRequest:
    """Return a request as if ``folder`` were the working directory."""
    configuration = configuration_for(sources, folder)
    return RenderRequest(
        sources=tuple(sources),
        cwd=folder,
        configuration=configuration,
        settings=merge(flags, configuration),
        typed=frozenset(flags),
    )


@asynccontextmanager
async def planned(folder: Path, sources: list[str], **flags: Any) -> AsyncIterator[Planned]:
    """Plan a run in ``folder`` as if that were the working directory."""
    flags.setdefault("out", folder / "out")
    request, collection = find_documents(request_in(folder, sources, **flags))
    settings = request.settings
    events: list[Event] = []
    async with AsyncExitStack() as stack, Warden.open() as own, Exporter(own) as exporter:
        warden = RunWarden(own, stack)
        plan = make_plan(request, collection, private=own.directory)
        cache = None
        if not settings.no_cache:
            cache = ResultCache(plan.state / "cache", root=plan.home, key=b"k", identify=identity, still=True)
        context = Context(
            folders=Folders(root=collection.root, home=plan.home, cwd=folder, out=collection.out_dir),
            settings=settings,
            launching=Launching(warden=warden, environ=dict(os.environ), links=Links(warden)),
            results=Results(
                writer=Writer(collection.out_dir, home=collection.root, private=own.directory),
                exporter=exporter,
                cache=cache,
            ),
            emit=events.append,
            clock=asyncio.get_running_loop().time,
        )
        yield Planned(context, plan, events)
