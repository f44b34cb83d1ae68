"""Patterns and tables of the configuration file that no document of a run meets: mostly a slip of the pen."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from moorage.notebooks.globs import matches
from moorage.notebooks.planning.settings import Configuration
from moorage.notebooks.planning.walk import BUILD_FOLDERS

MOST_TOLD = 10
"""Patterns told in one run."""

_WILD = re.compile(r"[*?[]")
_COMPARED = 500  # names a wrong one is compared with: 0.1 ms each

Pattern = tuple[str, str]
"""The key it stands under (``documents``, ``exclude`` or ``notebook``), and the pattern."""


def unmatched(
    configuration: Configuration, names: Sequence[str], met: Collection[Pattern], walked: Sequence[Path]
) -> list[str]:
    """Return a sentence for each pattern that meets nothing, at most ``MOST_TOLD`` and one for the rest.

    A run over a part of the tree does not see what the other patterns are for: told are those whose folder
    was walked, and paths that are not there.

    Args:
        configuration: of the project.
        names: the documents of the run, relative to the configuration's folder.
        met: patterns under ``documents`` and ``exclude`` that a file or folder of a walk matches.
        walked: absolute paths of the folders that were walked.
    """
    if configuration.path is None:
        return []
    missed = list(_missed(configuration, names, met, walked))
    prefix = "" if configuration.path.name == "moorage.toml" else "tool.moorage."
    told = [_sentence(pattern, prefix, names) for pattern in missed[:MOST_TOLD]]
    more = len(missed) - len(told)
    return told + ([f"{more} more patterns match nothing"] if more else [])


def _missed(
    configuration: Configuration, names: Sequence[str], met: Collection[Pattern], walked: Sequence[Path]
) -> Iterator[Pattern]:
    tables = [pattern for pattern, _ in configuration.notebooks]
    for key, patterns in (
        ("exclude", configuration.exclude),
        ("documents", configuration.documents),
        ("notebook", tables),
    ):
        for pattern in patterns:
            known = (key, pattern) in met
            if key != "exclude":
                known = known or any(pattern == name or matches(name, pattern) for name in names)
            if (
                not known
                and not _left_out(pattern, configuration.exclude)
                and _would_be_met(pattern, configuration.root, walked, exists=key == "exclude")
            ):
                yield key, pattern


def _left_out(pattern: str, exclude: Sequence[str]) -> bool:
    """Say whether a walk does not come to where a pattern leads, and rightly so."""
    parts = pattern.removeprefix("./").split("/")
    hidden = any(part in BUILD_FOLDERS or part.startswith(".") for part in parts)
    return hidden or any(each != pattern and matches(pattern, each) for each in exclude)


def _would_be_met(pattern: str, root: Path, walked: Sequence[Path], *, exists: bool) -> bool:
    """Say whether the run would have come to what a pattern is for; ``exists``: it need but be there."""
    parts = Path(pattern).parts
    wild = next((place for place, part in enumerate(parts) if _WILD.search(part)), None)
    if wild is None and not os.path.lexists(root / pattern):
        return True
    if wild is None and exists:
        return False
    folder = Path(os.path.normpath(root.joinpath(*parts[:wild])))
    return any(folder.is_relative_to(top) for top in walked)


def _sentence(pattern: Pattern, prefix: str, names: Sequence[str]) -> str:
    key, text = pattern
    if key == "exclude":
        return f'{prefix}exclude: "{text}" matches nothing'
    near = [] if _WILD.search(text) else difflib.get_close_matches(text, names[:_COMPARED], n=1)
    about = f". Did you mean {near[0]}?" if near else ""
    where = f'[{prefix}notebook."{text}"]' if key == "notebook" else f'{prefix}documents: "{text}"'
    return f"{where} matches no document{about}"
