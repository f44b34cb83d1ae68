"""A name of the package that is imported, or named in a docstring, is there.

Type checkers look at the package alone; benchmarks are seldom run, and no program looks at docstrings.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

import pytest

from house.sources import Source, package_sources, project_sources, report
from house.test_circles import module_name

SAME = ("moorage.kernel.blocking.", "moorage.blocking.")
"""``import moorage.blocking`` gives the module of that longer name."""
ROLE = re.compile(r":(?:func|class|meth|mod|attr|data|exc):`[~!]?(moorage[\w.]*)")


def defined(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements define, those of a class with its own name before them."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
            yield from attributes(node) if node.name == "__init__" else ()
        elif isinstance(node, ast.ClassDef):
            yield node.name
            yield from (f"{node.name}.{name}" for name in defined(node.body))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (
                each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)
            )
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from defined(
                child for child in ast.walk(node) if isinstance(child, ast.stmt) and child is not node
            )


def attributes(init: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yield what an ``__init__`` sets on its object."""
    for node in ast.walk(init):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def known(package: list[Source]) -> set[str]:
    """Return the full names of all modules of the package and of what they define."""
    names = {"moorage"}
    for source in package:
        module = module_name(source.path)
        names.add(module)
        names |= {f"{module}.{name}" for name in defined(source.tree.body)}
        # Names that a package offers and imports when they are used.
        names |= {
            f"{module}.{name}" for name in re.findall(r'"(\w+)"', source.text) if "__getattr__" in source.text
        }
    return names | {name.replace(*SAME) for name in names}


def references(source: Source) -> Iterator[tuple[int, str]]:
    """Yield line and full name of what a file imports of the package, and of what its docstrings name."""
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and (node.module or "").split(".")[0] == "moorage"
        ):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
    for number, line in enumerate(source.text.splitlines(), 1):
        for match in ROLE.finditer(line):
            yield number, match[1]


def dangling(sources: list[Source], package: list[Source]) -> list[str]:
    names = known(package)
    return [
        f"{source.path}:{line} {name}"
        for source in sources
        for line, name in references(source)
        if name not in names
    ]


def test_every_name_of_the_package_is_there() -> None:
    sources = [source for source in project_sources() if source.path != "tests/house/test_references.py"]
    report("dangling", dangling(sources, package_sources()))


PACKAGE = [
    Source(
        "plan/pool.py",
        "class Pool:\n    def __init__(self): self.size = 1\n    def ready(self): ...\nMOST: int = 3",
    )
]


@pytest.mark.parametrize(
    "text",
    [
        "from moorage.plan.pool import Pond",
        "def f():\n    from moorage.plan.pond import Pool",
        "'''See :class:`moorage.plan.pool.Pond`.'''",
        "# see :meth:`~moorage.plan.pool.Pool.empty`",
    ],
)
def test_the_rule_finds(text: str) -> None:
    assert dangling([Source("bench/x.py", text)], PACKAGE)


@pytest.mark.parametrize(
    "text",
    [
        "from moorage.plan.pool import MOST, Pool\nfrom pool import Pond",
        "'''See :mod:`moorage.plan.pool` and :attr:`moorage.plan.pool.Pool.size`.'''",
        "# :meth:`~moorage.plan.pool.Pool.ready`",
    ],
)
def test_the_rule_lets_pass(text: str) -> None:
    assert dangling([Source("bench/x.py", text)], PACKAGE) == []
