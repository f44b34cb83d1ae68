"""``render``: one run from its sources to its report."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moorage.directory import working_directory
from moorage.discovery.finder import find
from moorage.errors import KernelTypeNotFound, LaunchError, OutputError, UsageError, sentence
from moorage.notebooks import jobserver
from moorage.notebooks.batch import Batch
from moorage.notebooks.cache import key as cache_key
from moorage.notebooks.cache.cache import Cache
from moorage.notebooks.cache.state import make_state, state_obstacle
from moorage.notebooks.display import display
from moorage.notebooks.documents.formats import SCRIPTS
from moorage.notebooks.events import Event, Note, Outcome, RunFinished, RunStarted
from moorage.notebooks.execution.context import Context
from moorage.notebooks.execution.kernels import identity
from moorage.notebooks.execution.links import Links
from moorage.notebooks.execution.prelaunch import kernels_ahead
from moorage.notebooks.execution.run_warden import RunWarden
from moorage.notebooks.output.bundle import bundle_format, hidden_files, layout, write_bundle
from moorage.notebooks.output.exporter import Exporter
from moorage.notebooks.output.named import check_named, follows
from moorage.notebooks.output.writer import Writer
from moorage.notebooks.planning.plan import Plan, make_plan, named_from
from moorage.notebooks.planning.settings import Configuration, RenderSettings, configuration_for, merge
from moorage.notebooks.planning.targets import check_folder, check_targets, overwriting
from moorage.notebooks.planning.timings import save_timings
from moorage.notebooks.referred import carry_all
from moorage.notebooks.resources import carried, thread_environment, usable_cores
from moorage.places.here import choice_within
from moorage.process.kernel_directory import make_directory
from moorage.process.local import shared_warden
from moorage.process.netns.probe import obstacle
from moorage.rendezvous.choice import check


@dataclass(frozen=True)
class Report:
    """A run that is over.

    Attributes:
        outcomes: every notebook, in the order given.
        seconds: wall time of the run.
        interrupted: it was stopped before everything had run.
        executed: the executed notebook of each source that has one.
        out_dir: where everything was written.
    """

    outcomes: tuple[Outcome, ...]
    seconds: float
    interrupted: bool
    executed: Mapping[str, Path]
    out_dir: Path

    @property
    def ok(self) -> bool:
        """Whether every notebook ended well."""
        return not self.interrupted and all(outcome.good for outcome in self.outcomes)


def _ignore(_event: Event) -> None:
    """Nobody listens."""


async def render(
    sources: Sequence[str | Path],
    *,
    emit: Callable[[Event], None] = _ignore,
    finish: Callable[[Report], None] | None = None,
    catch_signals: bool = False,
    **flags: Any,
) -> Report:
    """Run notebooks and scripts, many at once, and write them with their outputs.

    Args:
        sources: files, folders and globs.
        emit: called with every event of the run, in the loop's thread.
        finish: called with the report while private files (the notebooks behind pages) are still there.
        catch_signals: let SIGINT and SIGTERM stop the run cleanly; the main thread's loop only.
        **flags: every flag of ``moorage render`` by its name with underscores (``out``, ``jobs``, ...).

    Returns:
        What became of every notebook: a notebook that fails is no exception.

    Raises:
        UsageError: the call cannot be carried out; nothing was done.
        OutputError: the bundle cannot be written.

    Cancelling ends every kernel and leaves what was finished in place.
    """
    cwd = working_directory()
    configuration = configuration_for(sources, cwd)
    settings = _checked(merge(flags, configuration))
    async with AsyncExitStack() as stack:
        warden = RunWarden(await stack.enter_async_context(shared_warden()), stack)
        # Its own: runs in one loop share the warden, and may have sources of the same name.
        private = make_directory(warden.now)
        stack.callback(shutil.rmtree, private, ignore_errors=True)
        plan = make_plan(sources, settings, configuration, cwd=cwd, private=private)
        settings, plan = _implied(plan, settings, flags, configuration, sources, cwd, private)
        check_folder(plan.collection.out_dir, cwd=cwd, typed=flags.get("out") is not None)
        overwrite = overwriting(settings, flags, configuration)
        may = overwrite(plan.collection.out_dir)
        writer = _writer(plan, settings, warden, private, overwrite=may)
        check_targets(plan, settings, writer, cwd=cwd, overwrite=overwrite, told=finish is not None)
        exporter = await stack.enter_async_context(Exporter(warden.now))
        run = _Run(settings, plan, warden, emit, writer)
        context = await run.context(stack, exporter, cwd)
        report = await run.go(context, catch_signals=catch_signals)
        try:
            run.bundle(context, report)
        finally:
            if finish is not None:
                finish(report)
        return report


def _writer(
    plan: Plan, settings: RenderSettings, warden: RunWarden, private: Path, *, overwrite: bool
) -> Writer:
    return Writer(
        plan.collection.out_dir,
        overwrite=overwrite,
        sources=[file.path for file in plan.collection.files],
        documents=[item.documents[to] for item in plan.items.values() for to in settings.to],
        home=plan.collection.root,
        private=private,
        guard=warden,
    )


def _checked(settings: RenderSettings) -> RenderSettings:
    """Return the settings; what this version cannot do is refused before anything is done."""
    if settings.bundle is not None:
        bundle_format(settings.bundle)
    _check_formats(settings.to)
    if settings.out is not None and settings.out.suffix in SCRIPTS and not settings.out.is_dir():
        _check_formats([settings.out.suffix.removeprefix(".")])  # nobody calls a folder x.py
    choice_within(settings.isolate, settings.rendezvous)
    if settings.isolate == "net" and (error := obstacle()) is not None:
        raise error
    # ipykernel knows every rendezvous: what it cannot use here, no kernel can.
    check(("ipykernel",), settings.rendezvous)
    if settings.kernel is not None:
        try:
            find(settings.kernel)
        except (KernelTypeNotFound, LaunchError) as error:
            raise UsageError(error.what, why=error.why, do=error.do) from None
    if settings.cluster is not None:
        raise UsageError(
            "this version of moorage runs notebooks on this machine only", do="Leave --cluster out"
        )
    return settings


def _check_formats(formats: Sequence[str]) -> None:
    for to in formats or ("nothing",):
        if to not in {"ipynb", "html", "md"}:
            raise UsageError(f"moorage cannot write {to}", do="Choose from ipynb, html and md")


def _implied(
    plan: Plan,
    settings: RenderSettings,
    flags: Mapping[str, Any],
    configuration: Configuration,
    sources: Sequence[str | Path],
    cwd: Path,
    private: Path,
) -> tuple[RenderSettings, Plan]:
    """Let ``-o page.html`` mean ``--to html`` where nobody said otherwise."""
    out_file = plan.collection.out_file
    if out_file is None:
        return settings, plan
    suffix = out_file.suffix.removeprefix(".")
    _check_formats([suffix])
    if suffix in settings.to:
        return settings, plan
    if flags.get("to") is not None:
        why = f"--to says {','.join(settings.to)}"
        raise UsageError(f"-o {settings.out} would not be written", why=why, do="Make the two agree")
    settings = replace(settings, to=(suffix,))
    return settings, make_plan(sources, settings, configuration, cwd=cwd, private=private)


class _Run:
    """The steps of one run."""

    def __init__(
        self,
        settings: RenderSettings,
        plan: Plan,
        warden: RunWarden,
        emit: Callable[[Event], None],
        writer: Writer,
    ) -> None:
        self._writer = writer
        self._settings = settings
        self._plan = plan
        self._warden = warden
        self._emit = emit
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._clock: Callable[[], float] = lambda: loop.time() - began
        cores = usable_cores()
        self._most = carried(len(plan.items))
        self._slots = min(settings.jobs or cores, max(1, self._most))
        self._cores = cores
        self._referred: dict[str, Path] = {}

    async def context(self, stack: AsyncExitStack, exporter: Exporter, cwd: Path) -> Context:
        """Put together what all notebooks share."""
        settings, plan, warden = self._settings, self._plan, self._warden
        cache = self._cache(cwd)
        # A make inside a notebook is not part of the make that runs us, and has none of its descriptors.
        surroundings = dict(os.environ) | {key: "" for key in ("MAKEFLAGS", "MFLAGS") if key in os.environ}
        if cache_key.VARIABLE in os.environ:  # what notebooks run shall not sign results of its own
            surroundings[cache_key.VARIABLE] = ""
        at_once = min(self._slots, len(plan.items))
        surroundings |= thread_environment(at_once, self._cores, environ=os.environ)
        if settings.display:
            surroundings |= await stack.enter_async_context(display(warden.now))
        fork, ahead = len(plan.items) > 1 and not settings.no_fork, None
        if fork and not any(each.settings.memory for each in plan.items.values()):
            directories = {name: item.directory for name, item in plan.items.items()}
            ready = kernels_ahead(directories, settings, env=surroundings)
            ahead = await stack.enter_async_context(ready)
        return Context(
            plan.collection.root,
            plan.home,
            cwd,
            plan.collection.out_dir,
            settings,
            warden,
            cache,
            exporter,
            self._emit,
            self._clock,
            surroundings,
            Links(warden),
            self._writer,
            fork=fork,
            ahead=ahead,
        )

    def _cache(self, cwd: Path) -> Cache | None:
        """Return the cache; None, and a sentence, where its usual place or this user's key cannot be used."""
        settings, plan, warden = self._settings, self._plan, self._warden
        if settings.no_cache:
            return None
        named = None if settings.cache is None else Path(os.path.realpath(cwd / settings.cache))
        try:
            return Cache(
                named or _usual_cache(plan.state),
                root=plan.home,
                key=cache_key.cache_key(os.environ),
                identify=identity,
                guard=warden,
                put=self._writer.put,
                bring=self._writer.bring,
            )
        except (UsageError, OutputError) as error:
            if named is not None or cache_key.VARIABLE in error.what:
                raise
            text = f"nothing is cached: {error.what}. {sentence(error.why)} {sentence(error.do)}".strip()
            self._emit(Note("notice", text))
            return None

    async def go(self, context: Context, *, catch_signals: bool) -> Report:
        """Run everything."""
        plan, settings = self._plan, self._settings
        server = None if settings.jobs else jobserver.find(os.environ)
        slots = self._slots
        if isinstance(server, jobserver.Unusable):
            self._emit(Note("notice", server.reason))
            server, slots = None, 1
        elif server is not None:
            slots = max(slots, self._most)
        if self._most < min(settings.jobs or self._cores, len(plan.items)):
            text = f"the limit on open files lets only {self._most} run at once: raise it with ulimit -n"
            self._emit(Note("notice", text))
        batch = Batch(context, plan.items, plan.jobs, slots=slots, server=server)
        started = RunStarted(
            tuple(plan.items),
            min(slots, len(plan.items)),
            str(context.root),
            context.shown(context.out_dir),
            dict(plan.expected),
        )
        self._emit(started)
        for text in plan.notes:
            self._emit(Note("notice", text))
        for text in plan.warnings:
            self._emit(Note("warning", text))
        interrupted = False

        def stop() -> None:
            nonlocal interrupted
            interrupted = True
            batch.stop("interrupted")

        with _signals(stop) if catch_signals else nullcontext():
            outcomes = await batch.run()
        self._afterwards(context, outcomes)
        self._emit(RunFinished(self._clock(), outcomes, interrupted))
        return Report(outcomes, self._clock(), interrupted, self._executed(), context.out_dir)

    def _executed(self) -> dict[str, Path]:
        """Return the executed notebook of each source that has one."""
        places = {name: item.documents["ipynb"] for name, item in self._plan.items.items()}
        # Path.is_file() raises for a name that is too long.
        return {name: path for name, path in places.items() if os.path.isfile(path)}  # noqa: PTH113 - see above

    def _afterwards(self, context: Context, outcomes: tuple[Outcome, ...]) -> None:
        """Carry the files that documents refer to, keep timings, tidy the cache."""
        written = [each.source for each in outcomes if each.output is not None]
        self._referred = carry_all(context, self._plan.items, written)
        home, items = self._plan.home, self._plan.items
        seconds = {
            named_from(home, items[each.source].file.path): each.seconds
            for each in outcomes
            if each.status == "ok"
        }
        if context.cache is not None:
            if seconds and not state_obstacle(self._plan.state):
                with suppress(OutputError):  # as losing them, not keeping them costs nothing but order
                    make_state(self._plan.state)
                save_timings(self._plan.state / "timings.json", seconds, guard=self._warden)
            context.cache.prune()

    def bundle(self, context: Context, report: Report) -> None:
        """Pack the bundle, if one is wanted: of a whole run only.

        Raises:
            OutputError: it cannot be written.
        """
        target, out_dir = self._settings.bundle, context.out_dir
        if target is None or report.interrupted:
            return
        good = {each.source: each for each in report.outcomes if each.output is not None}
        documents = {
            path.relative_to(out_dir).as_posix(): path
            for name in good
            for form, path in self._plan.items[name].documents.items()
            if form in self._settings.to and os.path.isfile(path)  # noqa: PTH113 - see above
        }
        made = {name: out_dir / name for each in good.values() for name in each.artifacts}
        made |= self._referred
        members = layout(documents, made, hidden_files(context.root, self._plan.items))
        overwrite = self._settings.overwrite
        check_named(target, overwrite=overwrite)
        follow = follows(target, overwrite=overwrite)
        write_bundle(context.cwd / target, members, guard=self._warden, follow=follow)


def _usual_cache(state: Path) -> Path:
    if why := state_obstacle(state):
        raise UsageError(f"{state / 'cache'} is not taken as a cache", why=why)
    return state / "cache"


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM stop the run, and the second one end this process at once."""
    loop = asyncio.get_running_loop()
    kinds = (signal.SIGINT, signal.SIGTERM)

    def first() -> None:
        for kind in kinds:
            loop.remove_signal_handler(kind)
            signal.signal(kind, signal.SIG_DFL)
        stop()

    for kind in kinds:
        loop.add_signal_handler(kind, first)
    try:
        yield
    finally:
        for kind in kinds:
            loop.remove_signal_handler(kind)
