"""``render``: one run from its sources to its report."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import msgspec

from moorage.errors import OutputError, UsageError, sentence
from moorage.notebooks import jobserver
from moorage.notebooks.batch import Batch
from moorage.notebooks.cache import key as cache_key
from moorage.notebooks.cache.state import make_state, state_obstacle
from moorage.notebooks.events import (
    INTERRUPTED,
    Event,
    Interrupted,
    Note,
    Outcome,
    Preparing,
    RunFinished,
    RunStarted,
)
from moorage.notebooks.execution.context import Context, Folders, Launching, Results
from moorage.notebooks.execution.kernels import forget_kernels, identity
from moorage.notebooks.execution.links import Links
from moorage.notebooks.execution.prelaunch import prelaunched
from moorage.notebooks.execution.run_warden import RunWarden
from moorage.notebooks.output.exporter import Exporter
from moorage.notebooks.output.named import check_named, follows, resolved
from moorage.notebooks.output.writer import Writer
from moorage.notebooks.planning.extras import check_extras
from moorage.notebooks.planning.options import RenderOptions, check_names, spelled_out
from moorage.notebooks.planning.plan import Plan, find_documents, make_plan
from moorage.notebooks.planning.request import RenderRequest, check_settings, requested
from moorage.notebooks.planning.targets import check_folder, check_targets
from moorage.notebooks.planning.timings import save_timings
from moorage.notebooks.referred import carry_all
from moorage.notebooks.relative import named_from
from moorage.notebooks.resources import notebooks_at_once, thread_environment
from moorage.notebooks.show.figures import counted
from moorage.notebooks.signals import heard
from moorage.plan.forecast import at_once
from moorage.process.kernel_directory import make_directory
from moorage.process.machine import usable_cores
from moorage.process.warden.shared import shared_warden

if TYPE_CHECKING:
    from moorage.notebooks.cache.cache import ResultCache


class Report(msgspec.Struct, frozen=True):
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
    """Drop an event that is not listened to."""


@spelled_out
async def render(
    sources: str | Path | Sequence[str | Path],
    *,
    emit: Callable[[Event], None] = _ignore,
    finish: Callable[[Report], None] | None = None,
    catch_signals: bool = False,
    **options: Unpack[RenderOptions],
) -> Report:
    """Run notebooks and scripts, many at once, and write them with their outputs.

    Args:
        sources: files, folders and globs, or one of them. Configuration files count as for the command.
        emit: called with every event of the run, in the loop's thread.
        finish: called with the report while private files (the notebooks behind pages) are still there.
        catch_signals: let SIGINT and SIGTERM stop the run cleanly; the main thread's loop only.
        out: folder for the outputs, or a file for the only one; default ``rendered``.
        to: ``ipynb``, ``html``, ``md``, one or several.
        jobs: how many notebooks at once; default is the cores that this process may use.
        kernel: kernel type for all of them, whatever the documents say.
        kernel_arg: arguments to add to the kernel's command.
        param: parameters to set in every notebook.
        env: environment variables for the kernels.
        timeout, cell_timeout, start_timeout: seconds for a notebook, a cell, and the start of a kernel (60);
            0 for no limit; texts such as ``"10m"`` too.
        retries: how often a notebook is started anew when its kernel died (1).
        fail_fast: start nothing more after the first failure.
        allow_errors: run on after an error; the notebook still counts as failed.
        cache: folder of the cache.
        no_cache: neither read nor write the cache.
        force: run everything, and write the cache.
        overwrite: replace files that moorage did not make; never sources.
        artifacts: patterns of files that the notebooks make, to be collected.
        bundle: file to pack everything into: ``.tar.gz``, ``.tar`` or ``.zip``.
        remove_cells: tags of cells to leave out.
        isolate: ``net`` gives each kernel a network of its own, in which there is nothing but a loopback.
        rendezvous: how to agree on addresses with kernels; default is what suits the kernel.
        no_fork: start every kernel by itself, none from a template.
        display: run one virtual X display for the kernels.
        cluster: refused by this version.

    Returns:
        What became of every notebook: a notebook that fails is no exception.

    Raises:
        UsageError: the call cannot be carried out; nothing was done.
        KernelTypeNotFound: there is no kernel type that ``kernel`` names; nothing was done.
        MissingExtra: a package is not installed that the documents need; nothing was done.
        OutputError: the bundle cannot be written.

    Cancelling ends every kernel and leaves what was finished in place.
    """
    check_names(options)
    request = requested([sources] if isinstance(sources, str | Path) else sources, options)
    return await carry_out(request, emit=emit, finish=finish, catch_signals=catch_signals)


async def carry_out(
    request: RenderRequest,
    *,
    emit: Callable[[Event], None] = _ignore,
    finish: Callable[[Report], None] | None = None,
    catch_signals: bool = False,
) -> Report:
    """Carry out a request; see :func:`render` for the rest."""
    check_settings(request.settings)
    forget_kernels()  # what an earlier run of this process has learnt of them
    emit(Preparing("looking for documents"))
    request, collection = find_documents(request)
    names = [file.name for file in collection.files]
    check_extras(names, request.settings, told=finish is not None)
    async with AsyncExitStack() as stack:
        warden = RunWarden(await stack.enter_async_context(shared_warden()), stack)
        # Its own: runs in one loop share the warden, and may have sources of the same name.
        private = make_directory(warden.now)
        stack.callback(shutil.rmtree, private, ignore_errors=True)
        emit(Preparing(f"reading {counted(len(collection.files), 'document')}"))
        if request.to_stdout:
            collection = collection.placed(private / "stdout")
        plan = make_plan(request, collection, private=private)
        check_folder(collection.out_dir, cwd=request.cwd, typed="out" in request.typed)
        writer = _writer(plan, request, warden, private)
        check_targets(plan, request, writer, told=finish is not None)
        exporter = await stack.enter_async_context(Exporter(warden.now))
        emit(Preparing("getting kernels ready"))
        run = _Run(request, plan, warden, emit, writer)
        context = await run.context(stack, exporter)
        report = await run.go(context, catch_signals=catch_signals)
        try:
            run.bundle(context, report)
        finally:
            if finish is not None:
                finish(report)
        return report


def _writer(plan: Plan, request: RenderRequest, warden: RunWarden, private: Path) -> Writer:
    collection = plan.collection
    return Writer(
        collection.out_dir,
        overwrite=request.overwrites(collection.out_dir),
        sources=[file.path for file in collection.files],
        documents=[item.documents[to] for item in plan.items.values() for to in request.settings.to],
        home=collection.root,
        private=private,
        guard=warden,
    )


class _Run:
    """The steps of one run."""

    def __init__(
        self,
        request: RenderRequest,
        plan: Plan,
        warden: RunWarden,
        emit: Callable[[Event], None],
        writer: Writer,
    ) -> None:
        self._request = request
        self._settings = settings = request.settings
        self._writer = writer
        self._plan = plan
        self._warden = warden
        self._emit = emit
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._clock: Callable[[], float] = lambda: loop.time() - began
        cores = usable_cores()
        self._most = notebooks_at_once(len(plan.items))
        self._slots = min(settings.jobs or cores, max(1, self._most))
        self._cores = cores
        self._referred: dict[str, Path] = {}

    async def context(self, stack: AsyncExitStack, exporter: Exporter) -> Context:
        """Put together what all notebooks share."""
        collection = self._plan.collection
        return Context(
            folders=Folders(
                root=collection.root,
                home=self._plan.home,
                cwd=self._request.cwd,
                out=collection.out_dir,
                to_stdout=self._request.to_stdout,
            ),
            settings=self._settings,
            launching=await self._launching(stack),
            results=Results(writer=self._writer, exporter=exporter, cache=self._cache()),
            emit=self._emit,
            clock=self._clock,
        )

    async def _launching(self, stack: AsyncExitStack) -> Launching:
        settings, items, warden = self._settings, self._plan.items, self._warden
        environ = await self._environ(stack)
        fork, prelaunch = len(items) > 1 and not settings.no_fork, None
        if fork and not any(each.settings.memory for each in items.values()):
            directories = {name: item.directory for name, item in items.items()}
            prelaunch = await stack.enter_async_context(prelaunched(directories, settings, env=environ))
        return Launching(warden=warden, environ=environ, links=Links(warden), fork=fork, prelaunch=prelaunch)

    async def _environ(self, stack: AsyncExitStack) -> dict[str, str]:
        """Return the environment of the kernels; a virtual display it names lasts as long as the stack."""
        # A make inside a notebook is not part of the make that runs us, and has none of its descriptors.
        environ = dict(os.environ) | {key: "" for key in ("MAKEFLAGS", "MFLAGS") if key in os.environ}
        if cache_key.VARIABLE in os.environ:  # what notebooks run shall not sign results of its own
            environ[cache_key.VARIABLE] = ""
        at_once = min(self._slots, len(self._plan.items))
        environ |= thread_environment(at_once, self._cores, environ=os.environ)
        if self._settings.display:
            from moorage.notebooks.display import display

            environ |= await stack.enter_async_context(display(self._warden.now))
        return environ

    def _cache(self) -> ResultCache | None:
        """Return the cache; None, and a sentence, where its usual place or this user's key cannot be used."""
        settings, plan, warden = self._settings, self._plan, self._warden
        if settings.no_cache:
            return None
        from moorage.notebooks.cache.cache import ResultCache

        named = None if settings.cache is None else Path(os.path.realpath(self._request.cwd / settings.cache))
        try:
            return ResultCache(
                named or _usual_cache(plan.state),
                root=plan.home,
                key=cache_key.cache_key(os.environ),
                identify=identity,
                guard=warden,
                writer=self._writer,
                still=True,
            )
        except (UsageError, OutputError) as error:
            if named is not None or cache_key.VARIABLE in error.what:
                raise
            text = f"nothing is cached: {error.what}. {sentence(error.why)} {sentence(error.do)}".strip()
            self._emit(Note("notice", text))
            return None

    async def go(self, context: Context, *, catch_signals: bool) -> Report:
        """Run everything."""
        server, slots = self._at_once()
        batch = Batch(context, self._plan.items, self._plan.jobs, slots=slots, server=server)
        self._announce(context, slots if server is None else jobserver.jobs_of(os.environ) or slots)
        interrupted = False

        def stop(by: str) -> None:
            nonlocal interrupted
            interrupted = True
            self._emit(Interrupted(self._clock(), batch.running, by))
            batch.stop(INTERRUPTED)

        with heard(stop, batch.abandon) if catch_signals else nullcontext():
            outcomes = await batch.run()
            self._after_run(context, outcomes)
            self._emit(RunFinished(self._clock(), outcomes, interrupted))
        return Report(outcomes, self._clock(), interrupted, self._executed(), context.folders.out)

    def _at_once(self) -> tuple[jobserver.Advertised | None, int]:
        """Return make's jobserver, where there is one, and how many notebooks may run at once."""
        settings = self._settings
        server = None if settings.jobs else jobserver.find(os.environ)
        slots = self._slots
        if isinstance(server, jobserver.Unusable):
            self._emit(Note("notice", server.reason))
            server, slots = None, 1
        elif server is not None:
            slots = max(slots, self._most)
        if self._most < min(settings.jobs or self._cores, len(self._plan.items)):
            text = f"the limit on open files lets only {self._most} run at once: raise it with ulimit -n"
            self._emit(Note("notice", text))
        return server, slots

    def _announce(self, context: Context, slots: int) -> None:
        """Tell the plan, and what is to be noted of it."""
        plan, folders = self._plan, context.folders
        started = RunStarted(
            tuple(plan.items),
            at_once(plan.jobs, slots),
            str(folders.root),
            "" if folders.to_stdout else folders.shown(folders.out),
            dict(plan.expected),
            self._again(cached=context.results.cache is not None),
        )
        self._emit(started)
        for text in plan.notes:
            self._emit(Note("notice", text))
        for text in plan.warnings:
            self._emit(Note("warning", text))

    def _again(self, *, cached: bool) -> str:
        """Return what the same command does after an interruption."""
        if cached and not self._settings.force:
            return "the same command goes on from there"
        if cached:
            return "the same command without --force goes on from there"
        return "the same command begins anew, since nothing is cached"

    def _executed(self) -> dict[str, Path]:
        """Return the executed notebook of each source that has one."""
        places = {name: item.documents["ipynb"] for name, item in self._plan.items.items()}
        # Path.is_file() raises for a name that is too long.
        return {name: path for name, path in places.items() if os.path.isfile(path)}  # noqa: PTH113 - see above

    def _after_run(self, context: Context, outcomes: tuple[Outcome, ...]) -> None:
        """Carry the files that documents refer to, keep timings, tidy the cache."""
        written = [each.source for each in outcomes if each.output is not None]
        self._referred = carry_all(context, self._plan.items, written)
        home, items = self._plan.home, self._plan.items
        seconds = {
            named_from(home, items[each.source].file.path): each.seconds
            for each in outcomes
            if each.status == "ok"
        }
        if context.results.cache is not None:
            if seconds and not state_obstacle(self._plan.state):
                with suppress(OutputError):  # as losing them, not keeping them costs nothing but order
                    make_state(self._plan.state)
                save_timings(self._plan.state / "timings.json", seconds, guard=self._warden)
            context.results.cache.prune()

    def bundle(self, context: Context, report: Report) -> None:
        """Pack the bundle, if one is wanted: of a whole run only.

        Raises:
            OutputError: it cannot be written.
        """
        target, out_dir = self._settings.bundle, context.folders.out
        if target is None or report.interrupted:
            return
        from moorage.notebooks.output.bundle import hidden_files, layout, write_bundle

        good = {each.source: each for each in report.outcomes if each.output is not None}
        documents = {
            path.relative_to(out_dir).as_posix(): path
            for name in good
            for form, path in self._plan.items[name].documents.items()
            if form in self._settings.to and os.path.isfile(path)  # noqa: PTH113 - see above
        }
        made = {name: out_dir / name for each in good.values() for name in each.artifacts}
        made |= self._referred
        members = layout(documents, made, hidden_files(context.folders.root, self._plan.items))
        overwrite = self._settings.overwrite
        check_named(target, overwrite=overwrite)
        follow = follows(target, overwrite=overwrite)
        target = context.folders.cwd / target
        write_bundle(target if follow else resolved(target), members, guard=self._warden, follow=follow)


def _usual_cache(state: Path) -> Path:
    if why := state_obstacle(state):
        raise UsageError(f"{state / 'cache'} is not taken as a cache", why=why)
    return state / "cache"
