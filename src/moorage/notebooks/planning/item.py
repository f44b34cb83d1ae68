"""One notebook of a run, planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from moorage.notebooks.planning.collect import SourceFile
from moorage.notebooks.planning.dependencies import FileLink
from moorage.notebooks.planning.settings import NotebookSettings
from moorage.notebooks.records import repr_without


class Item(Struct, frozen=True, kw_only=True):
    """One notebook of a run.

    Attributes:
        file: its source and where its output goes.
        settings: what counts for it.
        data: the source's bytes as they were when the run was planned.
        documents: every document it becomes, by format; ``ipynb`` is always there, in a private place
            where it is not wanted for itself.
        links: placed in its directory while it runs.
        document_links: by format, where links to other documents of the run lead in what is rendered of it.
        missing: why it cannot run at all, or empty.
        waited_for: something depends on it: it has not ended before its kernel has.
        fresh: never rendered before, as far as is known: its kernel is started while it is parsed.
    """

    file: SourceFile
    settings: NotebookSettings
    data: bytes
    documents: Mapping[str, Path]
    links: tuple[FileLink, ...] = ()
    missing: str = ""
    waited_for: bool = False
    fresh: bool = False
    document_links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return repr_without(self, "data")

    @property
    def name(self) -> str:
        """The source's path relative to the run's root."""
        return self.file.name

    @property
    def directory(self) -> Path:
        """Where it runs."""
        return self.file.path.parent


def documents_of(output: Path, to: Sequence[str], private: Path) -> dict[str, Path]:
    """Return where each document of a notebook goes, by format.

    Args:
        output: the notebook to write.
        to: the formats wanted.
        private: where the notebook goes when it is wanted for its pages only.
    """
    places = {form: output.with_suffix(f".{form}") for form in to}
    return {**places, "ipynb": output if "ipynb" in to else private}
