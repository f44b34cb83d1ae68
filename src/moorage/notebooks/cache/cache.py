"""The cache of rendered notebooks; ``docs/design/0005-cache.md`` says what it promises.

Usage, for one notebook::

    hit = cache.lookup_fast(recipe)                     # source unchanged: nothing is parsed
    if hit and cache.restore(hit, {"ipynb": output}):   # the documents are in place
        ...
    entry = cache.lookup(recipe, notebook, kernel)      # only text or display tags changed
    if entry:
        executed = applied(entry, notebook)             # export it, then cache.restore and cache.renew
    inputs = cache.inputs(recipe)                       # before the run
    ...
    reason = cache.store(recipe, executed, Ran(...))    # after it; empty when it was stored
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from moorage.errors import OutputError
from moorage.json_types import JsonMapping
from moorage.notebooks.cache.distributions import Distributions
from moorage.notebooks.cache.environment import changed_files, environment_bytes, name_below
from moorage.notebooks.cache.environments import Environments
from moorage.notebooks.cache.names import Names
from moorage.notebooks.cache.places import Places
from moorage.notebooks.cache.prune import prune
from moorage.notebooks.cache.recipe import code_cells, run_cells
from moorage.notebooks.cache.store import FileState, FileStates, Kind, Store
from moorage.notebooks.cache.stored import (
    Entry,
    FastHit,
    Ran,
    Record,
    Stored,
    decode,
    encode,
    outputs_of,
    read_outputs,
)
from moorage.notebooks.output.atomic import copy_whole, sweep, write_whole
from moorage.notebooks.output.guard import UNGUARDED, Guard
from moorage.notebooks.output.writer import Writer
from moorage.notebooks.relative import below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moorage.notebooks.cache.environment import RunEnvironment
    from moorage.notebooks.cache.recipe import Recipe

LARGEST_ARTIFACT = 256 * 1024 * 1024
"""Larger artefacts (bytes) are remembered but not kept: their notebook runs again when they are gone."""

_Plan = list[tuple[Path, bytes | Path]]
"""What is to be written: a path, and bytes or the file to copy."""


class ResultCache:
    """One folder of results. No kernel, no notebook library, no lock.

    Args:
        folder: where it lies; made when the first result is stored.
        root: the run's root: paths below it are kept relative, so the tree may move or be cloned.
        key: authenticates what is kept there: :func:`moorage.notebooks.cache.key.cache_key`.
        identify: returns a digest of what a kernel type is today (argv, resources), or an empty string
            when it is not there; called once per distinct type and lookup: memoise it.
        guard: deletes temporary files should moorage be killed.
        writer: puts documents and artefacts in place; None to write wherever a caller says.
        still: whether nothing of the run can have changed a file before :meth:`look_anew` is called.

    Raises:
        UsageError: the folder is no cache of that key, see :class:`moorage.notebooks.cache.store.Store`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        root: Path,
        key: bytes,
        identify: Callable[[str], str] = str,
        guard: Guard = UNGUARDED,
        writer: Writer | None = None,
        still: bool = False,
    ) -> None:
        self._writer = writer
        self.files = FileStates()
        self.distributions = Distributions()
        self.names = Names()
        self._root = Path(os.path.abspath(root))  # noqa: PTH100 - links stay as the user gave them
        self._places = Places(self._root, self.files)
        self._store = Store(folder, key=key, guard=guard)
        self._identify = identify
        self._guard = guard
        self._environments = Environments(
            self._store, self._root, self.files, self.names, self.distributions, still=still
        )
        self._swept: set[Path] = set()

    def look_anew(self) -> None:
        """From now on have each lookup look at every file itself; for before a first kernel is started."""
        self._environments.look_anew()

    def lookup_fast(self, recipe: Recipe) -> FastHit | None:
        """Return the finished documents of a source whose bytes and settings are known, else None.

        Tens of microseconds; reads one small file and looks at the times of those it depends on.
        """
        record = self._record("recipes", recipe.digest)
        return (
            None if record is None or self._miss(record, recipe, documents=True) else FastHit(recipe, record)
        )

    def lookup(self, recipe: Recipe, notebook: JsonMapping, kernel: str) -> Entry | None:
        """Return the stored outputs for a notebook of the same code, else None.

        Args:
            recipe: what decides its result.
            notebook: as it would be executed (nbformat 4, every source one string).
            kernel: the kernel type chosen for it.
        """
        record = self._record("runs", recipe.execution(notebook, kernel, self._identify(kernel)))
        if record is None or self._miss(record, recipe):
            return None
        data = self._store.get(record.outputs)
        if data is None:
            return None
        found = read_outputs(data)
        if found is None or len(found[0]) != sum(1 for _ in run_cells(notebook)):
            return None
        return Entry(recipe, record, *found)

    def restore(
        self,
        hit: FastHit | Entry,
        documents: Mapping[str, Path],
        *,
        artifact_folders: Sequence[Path] = (),
    ) -> tuple[Path, ...] | None:
        """Put documents and artefacts in place; what is right already is not touched.

        Args:
            hit: what a lookup returned.
            documents: where each document belongs, by name; empty for an :class:`Entry`.
            artifact_folders: folders that get the artefacts that are missing or differ there: the
                notebook's folder beside the output, and its own directory when something depends on them.

        Returns:
            The files that had to be written; None when something stored is gone or damaged: a miss, and
            nothing was written.

        Raises:
            OutputError: a file cannot be written.
        """
        plan = self._plan_documents(hit.record, documents)
        for folder in artifact_folders:
            more = self._plan_artifacts(hit.record, folder)
            plan = None if plan is None or more is None else plan + more
        if plan is None:
            return None
        if plan:
            self._environments.forget_looks()
        for path, what in plan:
            self._put(path, what)
        if documents:
            self._note_places(hit, documents, artifact_folders)
        return tuple(path for path, _ in plan)

    def inputs(self, recipe: Recipe) -> dict[str, FileState]:
        """Return what the declared inputs hold now; take it before the run."""
        return {name: self.files.state(self._root / name) for name in recipe.inputs}

    def shown(self, paths: Iterable[Path]) -> dict[str, FileState]:
        """Return what the files that pages are made with hold now; take it before those are made."""
        return {name_below(self._root, path): self.files.state(path) for path in paths}

    def store(self, recipe: Recipe, executed: JsonMapping, ran: Ran) -> str:
        """Keep a result for both lookups.

        Args:
            recipe: what decided it.
            executed: the executed notebook, before cells were removed or outputs hidden.
            ran: the rest.

        Returns:
            An empty string, or a sentence why it was not stored. Nothing is raised: a notebook that went
            well does not fail because the cache's disk is full.
        """
        if isinstance(environment := ran.environment, str):
            return environment
        if reason := self._unstorable(ran.kernel, environment):
            return reason
        try:
            record = self._keep(executed, ran, environment)
            payload = encode(record)
            key = recipe.execution(executed, ran.kernel, record.identity)
            self._store.write("runs", key, payload)
            self._store.write("recipes", recipe.digest, payload)
        except OutputError as error:
            return f"the cache could not be written: {error.why or error.what}"
        except OSError as error:
            return f"an artefact could not be read: {error}"
        except UnicodeEncodeError:
            return "a file name it depends on is not valid text"
        return ""

    def renew(
        self,
        entry: Entry,
        documents: Mapping[str, bytes],
        written: Mapping[str, Path],
        shown: Mapping[str, FileState],
    ) -> str:
        """Remember the documents made of an entry, so that the next lookup is a fast one.

        Args:
            entry: what they were made of.
            documents: their bytes by name.
            written: where each of them was written.
            shown: :meth:`shown` from before they were made.

        Returns:
            An empty string, or a sentence why they were not stored.
        """
        try:
            stored = self._documents(documents, written)
            record = msgspec.structs.replace(entry.record, documents=stored, shown=dict(shown))
            self._store.write("recipes", entry.recipe.digest, encode(record))
        except OutputError as error:
            return f"the cache could not be written: {error.why or error.what}"
        return ""

    def prune(
        self, *, max_bytes: int = 2**31, max_age_s: float = 90 * 86400.0, every_s: float = 86400.0
    ) -> int:
        """Remove what was not used for long, then the least recently used; for the end of a run.

        Args:
            max_bytes: what may stay.
            max_age_s: seconds since last use after which a result goes.
            every_s: nothing is done when the last pruning is younger, in seconds.

        Returns:
            How many files were removed.
        """
        return prune(self._store, max_bytes=max_bytes, max_age_s=max_age_s, every_s=every_s, now=time.time())

    def _record(self, kind: Kind, key: str) -> Record | None:
        payload = self._store.read(kind, key)
        return None if payload is None else decode(payload)

    def _miss(self, record: Record, recipe: Recipe, *, documents: bool = False) -> str:
        """Return why a record (or its documents) is no longer true, or an empty string."""
        if self._identify(record.kernel) != record.identity:
            return f"kernel {record.kernel} changed"
        here = self._root / recipe.directory
        return (
            self._environments.changed(record.environment)
            or changed_files(record.inputs, self.files, self._root)
            or (changed_files(record.shown, self.files, self._root) if documents else "")
            or self._overwritten(record, here)
        )

    def _overwritten(self, record: Record, here: Path) -> str:
        """Return which artefact beside the source is another one now; a missing one can be restored."""
        for name, stored in record.artifacts.items():
            path = below(here, name)
            if os.path.lexists(path) and not self._places.in_place(stored, path):
                return f"{name} is another one"
        return ""

    def _unstorable(self, kernel: str, environment: RunEnvironment) -> str:
        if not self._identify(kernel):
            return f"what kernel {kernel} is cannot be told"
        there = {name: state for name, state in environment.files.items() if state.digest}
        late = changed_files(there, self.files, self._root)
        return f"{late} while it ran" if late else ""

    def _keep(self, executed: JsonMapping, ran: Ran, environment: RunEnvironment) -> Record:
        """Write the blobs and return the record that names them."""
        artifacts = {}
        for name, path in ran.artifacts.items():
            large = path.stat().st_size > LARGEST_ARTIFACT
            state = self.files.state(path) if large else self._store.add_file(path)
            artifacts[name] = Stored(state.digest, state.size, self._places.place(path, state.digest))
        digest = self._store.add(environment_bytes(environment))
        return Record(
            kernel=ran.kernel,
            identity=self._identify(ran.kernel),
            environment=digest,
            inputs=dict(ran.inputs),
            artifacts=artifacts,
            documents=self._documents(ran.documents, ran.written),
            outputs=self._store.add(outputs_of(executed)),
            seconds=ran.seconds,
            cells=sum(1 for _ in code_cells(executed)),
            shown=dict(ran.shown),
        )

    def _documents(self, documents: Mapping[str, bytes], written: Mapping[str, Path]) -> dict[str, Stored]:
        stored = {}
        for name, data in documents.items():
            digest = self._store.add(data)
            places = self._places.place(written[name], digest) if name in written else {}
            stored[name] = Stored(digest, len(data), places)
        return stored

    def _plan_documents(self, record: Record, documents: Mapping[str, Path]) -> _Plan | None:
        plan: _Plan = []
        for name, path in documents.items():
            stored = record.documents.get(name)
            if stored is None:
                return None
            if not self._places.in_place(stored, path):
                data = self._store.get(stored.digest)
                if data is None:
                    return None
                plan.append((path, data))
        return plan

    def _plan_artifacts(self, record: Record, folder: Path) -> _Plan | None:
        plan: _Plan = []
        for name, stored in record.artifacts.items():
            path = below(folder, name)
            if not self._places.in_place(stored, path):
                blob = self._store.intact(stored.digest)
                if blob is None:
                    return None
                plan.append((path, blob))
        return plan

    def _put(self, path: Path, what: bytes | Path) -> None:
        if self._writer is not None:
            put = self._writer.put if isinstance(what, bytes) else self._writer.bring
            put(path, what)
        elif isinstance(what, bytes):
            write_whole(path, what, guard=self._guard)
        else:
            copy_whole(what, path, guard=self._guard)
        if path.parent not in self._swept:
            self._swept.add(path.parent)
            sweep(path.parent)

    def _note_places(
        self, hit: FastHit | Entry, documents: Mapping[str, Path], folders: Sequence[Path]
    ) -> None:
        """Note where files are and how old, so that the next lookup need not read them."""
        old = hit.record
        places = {name: [path] for name, path in documents.items()}
        new_documents = self._places.placed(old.documents, places)
        places = {name: [below(folder, name) for folder in folders] for name in old.artifacts}
        new_artifacts = self._places.placed(old.artifacts, places)
        inputs = dict(old.inputs)
        for name, state in old.inputs.items():
            if state.size and not state.mtime_ns:  # it was too young to tell by its time
                now = self.files.state(self._root / name)
                inputs[name] = now if now.digest == state.digest else state
        record = msgspec.structs.replace(old, documents=new_documents, artifacts=new_artifacts, inputs=inputs)
        if record != old:
            with suppress(OutputError):  # it only saves time, and the documents are in place
                self._store.write("recipes", hit.recipe.digest, encode(record))
