"""What the cache writes down about one result, and what a lookup returns."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from posixpath import normpath

import msgspec
from msgspec import Struct, field

from moorage.json_types import JsonMapping, JsonObject
from moorage.notebooks.cache.environment import RunEnvironment
from moorage.notebooks.cache.recipe import Recipe, run_cells
from moorage.notebooks.cache.store import FileState
from moorage.notebooks.documents.tags import runnable


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """One document or artefact.

    Attributes:
        digest: its blob.
        size: bytes.
        places: size and mtime_ns of the files that are known to hold it.
    """

    digest: str
    size: int
    places: dict[str, tuple[int, int]]


class Record(msgspec.Struct, frozen=True):
    """One result. Digests name blobs.

    Attributes:
        kernel: kernel type it ran in.
        identity: what that type was.
        environment: the environment, shared by all notebooks that imported the same.
        inputs: declared inputs, relative to the run's root.
        artifacts: artefacts, relative to the notebook's directory.
        documents: finished documents by name.
        outputs: outputs of all cells that ran and the metadata that execution added.
        seconds: how long the run took.
        cells: number of code cells.
        shown: files that pages were made with (images, templates), relative to the run's root or absolute.
    """

    kernel: str
    identity: str
    environment: str
    inputs: dict[str, FileState]
    artifacts: dict[str, Stored]
    documents: dict[str, Stored]
    outputs: str
    seconds: float
    cells: int
    shown: dict[str, FileState] = {}

    def blobs(self) -> set[str]:
        """Return the digests of all blobs it needs."""
        artifacts = {state.digest for state in self.artifacts.values()}
        documents = {stored.digest for stored in self.documents.values()}
        return {self.environment, self.outputs} | artifacts | documents


class Ran(Struct, frozen=True):
    """What a run that went well leaves to be stored.

    Attributes:
        kernel: kernel type it ran in.
        documents: bytes of each written document by a name of the caller's (``ipynb``, ``html``).
        written: where each of them was written.
        environment: what it ran with, or a sentence why that is not known.
        inputs: :meth:`ResultCache.inputs` from before the run.
        artifacts: files it made, by their path relative to the notebook's directory.
        seconds: how long it took.
        shown: what the files that pages are made with held before those were made.
    """

    kernel: str
    documents: Mapping[str, bytes]
    environment: RunEnvironment | str
    written: Mapping[str, Path] = field(default_factory=dict)
    inputs: Mapping[str, FileState] = field(default_factory=dict)
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    seconds: float = 0.0
    shown: Mapping[str, FileState] = field(default_factory=dict)


class FastHit(Struct, frozen=True):
    """Finished documents for a source that has not changed; ``ResultCache.restore`` puts them in place."""

    recipe: Recipe
    record: Record


class Entry(Struct, frozen=True):
    """Outputs for the code of a notebook; ``applied`` puts them into it.

    Attributes:
        recipe: what it was looked up by.
        record: what is known about the run.
        cells: per cell that ran: outputs, execution_count, and metadata added by execution.
        metadata: notebook metadata added by execution: language_info, kernelspec, widget state.
    """

    recipe: Recipe
    record: Record
    cells: tuple[JsonObject, ...]
    metadata: JsonObject


# Made once, before any thread: what msgspec makes of a type on first use is not safe against a second thread.
_RECORD = msgspec.json.Decoder(Record)
_DIGEST = re.compile(r"[0-9a-f]{64}")


def encode(record: Record) -> bytes:
    """Return a record's payload.

    Raises:
        UnicodeEncodeError: a file name in it is not valid text.
    """
    return msgspec.json.encode(record)


def decode(payload: bytes) -> Record | None:
    """Return the record, or None when another version of moorage wrote it, or a name in it cannot be."""
    try:
        record = _RECORD.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return None
    named = all(_relative(name) for name in record.artifacts)
    return record if named and all(_DIGEST.fullmatch(digest) for digest in record.blobs()) else None


def _relative(name: str) -> bool:
    """Return whether an artefact's name is one that a run gives: relative, and no longer than need be."""
    return not name.startswith("/") and "\0" not in name and name not in {"", "."} and normpath(name) == name


def applied(entry: Entry, notebook: JsonMapping) -> JsonObject:
    """Return ``notebook`` as if it had been executed: its own text and tags, the outputs of ``entry``."""
    stored = iter(entry.cells)
    cells = []
    for cell in notebook["cells"]:
        if runnable(cell):
            kept = next(stored)
            metadata = {**cell.get("metadata", {}), **kept["metadata"]}
            new = {"outputs": kept["outputs"], "execution_count": kept["execution_count"]}
            cells.append({**cell, **new, "metadata": metadata})
        else:
            cells.append(dict(cell))
    return {**notebook, "cells": cells, "metadata": {**notebook.get("metadata", {}), **entry.metadata}}


def outputs_of(executed: JsonMapping) -> bytes:
    """Return what execution added to a notebook; the stdlib's json keeps NaN and lone surrogates."""
    cells = [
        {
            "outputs": cell.get("outputs", []),
            "execution_count": cell.get("execution_count"),
            "metadata": {k: v for k, v in cell.get("metadata", {}).items() if k == "execution"},
        }
        for cell in run_cells(executed)
    ]
    known = ("language_info", "kernelspec", "widgets")
    metadata = {key: executed["metadata"][key] for key in known if key in executed.get("metadata", {})}
    return json.dumps({"cells": cells, "metadata": metadata}).encode()


def read_outputs(data: bytes) -> tuple[tuple[JsonObject, ...], JsonObject] | None:
    """Return cells and metadata from what :func:`outputs_of` made; None when it is something else."""
    try:
        stored = json.loads(data)
        found, metadata = stored["cells"], stored["metadata"]
        good = isinstance(metadata, dict) and all(_is_cell(each) for each in found)
        return (tuple(found), metadata) if good else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _is_cell(stored: object) -> bool:
    return (
        isinstance(stored, dict)
        and stored.keys() == {"outputs", "execution_count", "metadata"}
        and isinstance(stored["outputs"], list)
        and isinstance(stored["metadata"], dict)
    )
