"""The sources that house rules read, and how a rule reports what it found.

A rule turns sources into a list of violations. It runs over the tree, and over planted lines it must find.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "moorage"


@dataclass(frozen=True)
class Source:
    """One file: ``path`` is relative to the package and has forward slashes."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def room(self) -> str:
        return self.path.split("/")[0].removesuffix(".py")


def package_sources() -> list[Source]:
    return [
        Source(path.relative_to(PACKAGE).as_posix(), path.read_text("utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    ]


def project_sources() -> list[Source]:
    return [
        Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
        for folder in ("src", "tests", "bench")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "files" not in path.relative_to(ROOT).parts
    ]


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of all that ``source`` imports, inside functions too."""
    package = ["moorage", *source.path.split("/")[:-1]]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def report(rule: str, violations: list[str]) -> None:
    if violations:
        pytest.fail(f"{rule}: {len(violations)}\n  " + "\n  ".join(violations), pytrace=False)
