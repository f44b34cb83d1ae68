"""What a run will do: its notebooks, their settings, which waits for which."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, structs

from moorage.configuration import searched
from moorage.errors import DocumentError, UsageError
from moorage.notebooks.documents.document import load
from moorage.notebooks.output.artifacts import check_pattern
from moorage.notebooks.planning.collect import Collection, SourceFile, collect
from moorage.notebooks.planning.dependencies import Declared, Dependencies, resolve
from moorage.notebooks.planning.document_links import document_links
from moorage.notebooks.planning.item import Item, documents_of
from moorage.notebooks.planning.request import RenderRequest
from moorage.notebooks.planning.settings import NotebookSettings
from moorage.notebooks.planning.timings import load_timings
from moorage.notebooks.relative import named_from
from moorage.plan.schedule import Job
from moorage.regular import MOST_DOCUMENT, read_regular


class Plan(Struct, frozen=True, kw_only=True):
    """A run before it begins.

    Attributes:
        collection: the documents found.
        items: the notebooks by name, in the order given.
        jobs: what the schedule needs to know of them.
        expected: seconds each took last time, where known.
        state: folder of the cache and the timings.
        home: folder of the project, see :class:`moorage.notebooks.execution.context.Context`.
        notes: what the user should hear.
        warnings: what may not be as the user thinks.
    """

    collection: Collection
    items: Mapping[str, Item]
    jobs: tuple[Job, ...]
    expected: Mapping[str, float]
    state: Path
    home: Path
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def find_documents(request: RenderRequest) -> tuple[RenderRequest, Collection]:
    """Find the documents of a run, and what ``-o`` means for them. Reads no source whole, writes nothing.

    Returns:
        The request, with the format that ``-o`` names; and the documents.

    Raises:
        UsageError: see :func:`moorage.notebooks.planning.collect.collect` and
            :meth:`moorage.notebooks.planning.request.RenderRequest.written_to`; or ``-o -`` is to hold more
            than one document.
    """
    out = None if request.to_stdout else request.settings.out
    collection = collect(request.sources, out=out, configuration=request.configuration, cwd=request.cwd)
    if request.to_stdout and (number := len(collection.files)) > 1:
        raise UsageError(f"-o - is one document, but there are {number} sources", do="Give -o a folder")
    return request.written_to(collection.out_file), collection


def make_plan(request: RenderRequest, collection: Collection, *, private: Path) -> Plan:
    """Work out what each document needs. Reads every source once, writes nothing.

    Args:
        request: what the run is asked to do.
        collection: its documents, see :func:`find_documents`.
        private: folder for notebooks that are wanted for their pages only.

    Raises:
        ConfigurationError: a document's metadata says something that cannot be.
        UsageError: an artefact pattern cannot be, or two documents want different files under one name.
    """
    configuration, settings = request.configuration, request.settings
    home = configuration.root if configuration.path else _project(collection.root)
    state = home / ".moorage"
    expected = _expected(collection, state, home)
    data = {file.name: _read(file.path) for file in collection.files}
    declared = [
        Declared(file.name, file.path, _settings(file, data[file.name], request)) for file in collection.files
    ]
    for each in declared:
        for pattern in each.settings.collected:
            check_pattern(pattern, each.path.parent.resolve(), collection.root.resolve())
    dependencies = resolve(declared)
    waited_for = frozenset[str]().union(*(each.needs for each in dependencies.notebooks.values()))
    items = {
        file.name: Item(
            file=file,
            settings=each.settings,
            data=data[file.name],
            documents=documents_of(file.output, settings.to, private / _private_name(file)),
            links=dependencies.notebooks[file.name].links,
            missing="; ".join(dependencies.notebooks[file.name].missing),
            waited_for=file.name in waited_for,
            fresh=settings.force or settings.no_cache or file.name not in expected,
        )
        for file, each in zip(collection.files, declared, strict=True)
    }
    for name, leads in document_links(items.values(), settings.to).items():
        items[name] = structs.replace(items[name], document_links=leads)
    return Plan(
        collection=collection,
        items=items,
        jobs=tuple(_job(item, dependencies, expected) for item in items.values()),
        expected=expected,
        state=state,
        home=home,
        notes=(*collection.notes, *dependencies.notes),
        warnings=collection.warnings,
    )


def _expected(collection: Collection, state: Path, home: Path) -> dict[str, float]:
    seconds = load_timings(state / "timings.json")
    names = {file.name: named_from(home, file.path) for file in collection.files}
    return {name: seconds[known] for name, known in names.items() if known in seconds}


def _project(folder: Path) -> Path:
    """Return the top of the git work tree that holds a folder; outside of any, the folder itself.

    A folder that every user may write to, such as /tmp, is the top of nothing: the .git there may be another
    user's.
    """
    top = searched(folder)[-1]
    private = not top.stat().st_mode & stat.S_IWOTH
    return top if private and os.path.lexists(top / ".git") else folder


def _job(item: Item, dependencies: Dependencies, expected: Mapping[str, float]) -> Job:
    own = item.settings
    return Job(
        id=item.name,
        needs=dependencies.notebooks[item.name].needs,
        cores=own.cores,
        memory=own.memory,
        expected=expected.get(item.name),
        retries=own.retries,
    )


def _read(path: Path) -> bytes:
    """Return a source's bytes; what cannot be read is told when its turn comes."""
    try:
        return read_regular(path, MOST_DOCUMENT)
    except OSError:
        return b""


def _settings(file: SourceFile, data: bytes, request: RenderRequest) -> NotebookSettings:
    metadata = None
    # Parsing every source would cost more than a cached run may take: only those that may say something.
    if b"moorage" in data:
        try:
            metadata = load(file.path).notebook["metadata"].get("moorage")
        except DocumentError:
            metadata = None  # told when its turn comes
    return request.configuration.notebook(file.path, metadata, request.settings)


def _private_name(file: SourceFile) -> str:
    return hashlib.sha256(file.name.encode("utf-8", "surrogateescape")).hexdigest()[:16] + ".ipynb"
