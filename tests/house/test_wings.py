"""The wings of ``notebooks/``: each imports those below it, and none above."""

from __future__ import annotations

import pytest

from house.sources import Source, imports, package_sources, report

WINGS: tuple[frozenset[str], ...] = (
    frozenset({"events", "globs", "records", "relative", "unexpected"}),
    frozenset({"cache", "documents", "output", "show"}),
    frozenset({"planning"}),
    frozenset({"execution"}),
)
"""Bottom to top; above them stand the modules that drive a run of many notebooks."""


def height(wing: str) -> int:
    return next((at for at, names in enumerate(WINGS) if wing in names), len(WINGS))


def climbing_imports(sources: list[Source]) -> list[str]:
    found = []
    for source in sources:
        room, _, rest = source.path.partition("/")
        if room != "notebooks":
            continue
        wing = rest.split("/")[0].removesuffix(".py")
        for line, name in imports(source):
            other = name.removeprefix("moorage.notebooks.").split(".")[0]
            if name.startswith("moorage.notebooks.") and height(other) > height(wing):
                found.append(f"{source.path}:{line} {wing} imports {other}, which is above it")
    return found


def test_wings_import_what_is_below_them() -> None:
    report("climbing_imports", climbing_imports(package_sources()))


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("notebooks/planning/plan.py", "from moorage.notebooks.execution.context import Context", 1),
        ("notebooks/show/live.py", "from moorage.notebooks.planning import plan", 1),
        ("notebooks/execution/links.py", "def f():\n    import moorage.notebooks.batch", 1),
        ("notebooks/execution/links.py", "from moorage.notebooks.planning.item import Item", 0),
        ("notebooks/run.py", "from moorage.notebooks.batch import Batch", 0),
    ],
)
def test_the_rule_finds_and_lets_pass(path: str, text: str, found: int) -> None:
    assert len(climbing_imports([Source(path, text)])) == found
