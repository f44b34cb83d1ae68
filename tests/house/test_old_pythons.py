"""What is loaded into kernels' interpreters runs from Python 3.8 on, as ipykernel 6.29 does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROCESS = Path(__file__).resolve().parents[2] / "src/moorage/process"
LOADED = sorted(
    [
        *(
            PROCESS / f"ipykernel_patches/{name}.py"
            for name in ("events", "forked", "queued_output", "spawned")
        ),
        *(PROCESS / f"template/{name}.py" for name in ("after_fork", "main", "startup_code")),
        PROCESS / "template/entry/moorage_template.py",
    ]
)
GENERIC = frozenset({"dict", "frozenset", "list", "set", "tuple", "type"})
"""What cannot be subscripted before Python 3.9."""
LATER = frozenset({"orig_argv"})
"""Attributes of ``sys`` that came later: ``getattr`` and ``hasattr`` ask for them."""


def too_new(text: str) -> list[str]:
    """Return what older interpreters cannot execute in a file."""
    tree = ast.parse(text, feature_version=(3, 8))
    lazy = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    found = []
    for node in executed(tree, lazy=lazy):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in GENERIC:
            found.append(f"{node.lineno}: {node.value.id}[]")
        if isinstance(node, ast.Attribute) and node.attr in LATER and not guarded(text, node):
            found.append(f"{node.lineno}: {node.attr}")
    return found


def guarded(text: str, node: ast.Attribute) -> bool:
    """Tell whether the line before asks whether it is there."""
    return f'hasattr(sys, "{node.attr}")' in text.splitlines()[node.lineno - 2]


def executed(node: ast.AST, *, lazy: bool, local: bool = False) -> Iterator[ast.AST]:
    """Yield what is executed: no annotations that nothing looks at, and nothing for type checkers alone."""
    yield node
    local = local or isinstance(node, ast.FunctionDef)
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns"} and (lazy or (local and isinstance(node, ast.AnnAssign))):
            continue
        if isinstance(node, ast.If) and field == "body" and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST):
                yield from executed(each, lazy=lazy, local=local)


@pytest.mark.parametrize("path", LOADED, ids=lambda path: path.stem)
def test_older_interpreters_can_execute_it(path: Path) -> None:
    assert too_new(path.read_text()) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Kind = dict[str, str]", ["1: dict[]"]),
        ("from __future__ import annotations\nx: dict[str, str] = {}\ndef f(y: list[int]): pass", []),
        ("def f(y: list[int]): pass", ["1: list[]"]),
        ("def f():\n    y: list[int] = []", []),
        ("if TYPE_CHECKING:\n    Kind = dict[str, str]", []),
        ("import sys\nprint(sys.orig_argv)", ["2: orig_argv"]),
        ('import sys\nif hasattr(sys, "orig_argv"):\n    print(sys.orig_argv)', []),
    ],
)  # fmt: skip
def test_the_rule(text: str, found: list[str]) -> None:
    assert too_new(text) == found
