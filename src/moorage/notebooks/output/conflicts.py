"""Which notebook wrote which file: that two write the same one is told.

A file system does not say which process changed a file. When two notebooks ran at the same time over the
same globs, a changed file belongs to the one whose code names it; when both name it, both write it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct, field

from moorage.notebooks.events import Note
from moorage.notebooks.output.artifacts import Artifact

_SHORTEST_STEM = 3


class _Run(Struct):
    code: str
    running: bool = True
    rivals: set[str] = field(default_factory=set)


class Conflicts:
    """What each notebook of one run wrote."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._writers: dict[Path, set[str]] = {}
        self._places: dict[Path, tuple[str, Path]] = {}
        self._told: set[tuple[Path, frozenset[str]]] = set()

    def began(self, source: str, code: str) -> None:
        """Say that a notebook starts; before its :func:`~moorage.notebooks.output.artifacts.snapshot`.

        Args:
            source: its name.
            code: sources of its code cells, in one string.
        """
        run = self._runs[source] = _Run(code)
        for name, other in self._runs.items():
            if other.running and name != source:
                run.rivals.add(name)
                other.rivals.add(source)

    def ended(self, source: str) -> None:
        """Say that a notebook is done; after :meth:`claim`, if it comes to that."""
        if source in self._runs:
            self._runs[source].running = False

    def claim(
        self, source: str, artifacts: Iterable[Artifact]
    ) -> tuple[tuple[Artifact, ...], tuple[Note, ...]]:
        """Return which of the artefacts found are this notebook's, and what the user should hear.

        Args:
            source: its name, as in :meth:`began`.
            artifacts: what :func:`~moorage.notebooks.output.artifacts.compare` found.
        """
        mine, notes = [], []
        for artifact in artifacts:
            if not artifact.changed:
                mine.append(artifact)
                continue
            namers = self._namers(source, artifact)
            if namers and source not in namers:
                continue
            mine.append(artifact)
            writers = self._writers.setdefault(artifact.path, set())
            notes += self._tell(source, artifact, writers, namers)
            writers.add(source)
        return tuple(mine), tuple(notes)

    def placed(self, source: str, artifact: Artifact, target: Path) -> tuple[Note, ...]:
        """Remember where an artefact is copied to; two different files for one place are told about."""
        other, path = self._places.setdefault(target, (source, artifact.path))
        if path == artifact.path:
            return ()
        text = f"{other} and {source} both have an artefact for {target}: {path} and {artifact.path}"
        return (Note("warning", text, source),)

    def _namers(self, source: str, artifact: Artifact) -> set[str]:
        """Return which of this notebook and those that ran beside it name the file in their code."""
        run = self._runs.get(source, _Run(""))
        codes = {source: run.code, **{name: self._runs[name].code for name in run.rivals}}
        for word in (artifact.path.name, artifact.path.stem):
            namers = {name for name, code in codes.items() if word in code}
            if namers or len(artifact.path.stem) < _SHORTEST_STEM:
                return namers
        return set()

    def _tell(self, source: str, artifact: Artifact, writers: set[str], namers: set[str]) -> list[Note]:
        rivals = self._runs[source].rivals if source in self._runs else set()
        notes = []
        for other in sorted(writers - {source}):
            pair = frozenset({source, other})
            if (artifact.path, pair) in self._told:
                continue
            self._told.add((artifact.path, pair))
            if other not in rivals or pair <= namers:
                text = f"{other} and {source} both write {artifact.path}: the later one wins"
            else:
                text = f"{artifact.path} may come from {other} or {source}: they ran at the same time"
            notes.append(Note("warning", text, source))
        return notes
