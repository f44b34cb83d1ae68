"""What the keeper is made of runs without moorage: the standard library alone, as Python 3.9 has it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

import pytest

from house.sources import PACKAGE, Source, report
from house.test_old_pythons import executed
from moorage.keeper.pack import LINUX, MAIN, PARTS

GENERIC_FROM = (3, 9)
INSIDE = frozenset(name.partition(".")[0] for name in PARTS)
"""First parts of the names under which the parts import each other."""
LATER = frozenset({"tomllib", "dataclasses", "typing", "asyncio", "pathlib", "subprocess", "re", "logging"})
"""Modules that are too new, or too large for a process of 8 MiB."""


def keeper_sources() -> list[Source]:
    return [Source(path, (PACKAGE / path).read_text("utf-8")) for path in [*PARTS.values(), MAIN]]


def not_alone(sources: list[Source]) -> list[str]:
    """Find what these files execute that needs the package, another library, or a newer Python."""
    found = []
    for source in sources:
        try:
            tree = ast.parse(source.text, source.path, feature_version=GENERIC_FROM)
        except SyntaxError as error:
            found.append(f"{source.path}:{error.lineno} {error.msg}")
            continue
        for line, name in run_imports(tree):
            first = name.partition(".")[0]
            if first == "__future__" or first in INSIDE:
                continue
            if first not in sys.stdlib_module_names or first in LATER:
                found.append(f"{source.path}:{line} imports {name}")
        found += [
            f"{source.path}:{node.lineno} | of types needs Python 3.10"
            for node in executed(tree, lazy=True)
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) == "isinstance"
            and any(isinstance(each, ast.BinOp) for each in ast.walk(node.args[1]))
        ]
        found += [
            f"{source.path}:{node.lineno} zip() has strict from Python 3.10 on"
            for node in executed(tree, lazy=True)
            if isinstance(node, ast.keyword) and node.arg == "strict"
        ]
    return found


def run_imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of each import that is run where moorage is not."""
    for node in executed(tree, lazy=True):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, f"{'.' * node.level}{node.module or ''}"


def test_the_keeper_runs_without_moorage() -> None:
    report("not_alone", not_alone(keeper_sources()))


def test_every_file_of_the_keeper_is_packed() -> None:
    there = {path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / "keeper/process").glob("*.py")}
    assert there - {"keeper/process/__init__.py"} <= {*PARTS.values(), MAIN}
    assert PARTS.keys() >= LINUX


@pytest.mark.parametrize(
    "text",
    [
        "import msgspec",
        "from moorage.wire import link",
        "from . import record",
        "def f():\n    import subprocess",
        "match x:\n    case 1: pass",
        "isinstance(x, int | str)",
        "zip(a, b, strict=True)",
        "with (open(a) as b, open(c) as d): pass\ntry:\n    pass\nexcept* OSError:\n    pass",
    ],
)
def test_the_rule_finds(text: str) -> None:
    assert not_alone([Source(MAIN, text)])


@pytest.mark.parametrize(
    "text",
    [
        "import os, json\nfrom wire import link\nfrom keeper.process import record",
        "if TYPE_CHECKING or __name__.startswith('moorage.'):\n    from moorage.wire import link",
        "from __future__ import annotations\ndef f(x: int | None) -> list[int]: ...",
    ],
)
def test_the_rule_lets_pass(text: str) -> None:
    assert not_alone([Source(MAIN, text)]) == []
