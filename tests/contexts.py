"""A planned run of real files with a real warden, up to the point where notebooks would start."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moorage.notebooks.cache.cache import Cache
from moorage.notebooks.events import Event, Note
from moorage.notebooks.execution.context import Context
from moorage.notebooks.execution.kernels import identity
from moorage.notebooks.execution.links import Links
from moorage.notebooks.execution.run_warden import RunWarden
from moorage.notebooks.output.exporter import Exporter
from moorage.notebooks.output.writer import Writer
from moorage.notebooks.planning.plan import Plan, make_plan
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


@asynccontextmanager
async def planned(folder: Path, sources: list[str], **flags: Any) -> AsyncIterator[Planned]:
    """Plan a run in ``folder`` as if that were the working directory."""
    configuration = configuration_for(sources, folder)
    flags.setdefault("out", folder / "out")
    settings = merge(flags, configuration)
    events: list[Event] = []
    async with AsyncExitStack() as stack, Warden.open() as own, Exporter(own) as exporter:
        warden = RunWarden(own, stack)
        plan = make_plan(sources, settings, configuration, cwd=folder, private=own.directory)
        folder_of_cache, key = plan.state / "cache", b"k"
        cache = (
            None if settings.no_cache else Cache(folder_of_cache, root=plan.home, key=key, identify=identity)
        )
        context = Context(
            plan.collection.root,
            plan.home,
            folder,
            plan.collection.out_dir,
            settings,
            warden,
            cache,
            exporter,
            events.append,
            asyncio.get_running_loop().time,
            dict(os.environ),
            Links(warden),
            Writer(plan.collection.out_dir, home=plan.collection.root, private=own.directory),
        )
        yield Planned(context, plan, events)
