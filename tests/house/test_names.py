"""One name means one thing: a public class has a name that no other one has."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator

from house.sources import Source, package_sources, report

MIRRORED = frozenset({"kernel/blocking.py", "kernel/blocking_attach.py"})
"""The same names as the rest of the package has, for programs without an event loop."""

TWICE: dict[str, int] = {}
"""Names that several classes have today: this list only gets shorter, and its figures smaller."""


def classes(body: Iterable[ast.stmt]) -> Iterator[ast.ClassDef]:
    """Yield the public classes of a module, those in the branches of its conditions too."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from classes(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node


def one_name_one_thing(sources: list[Source], known: dict[str, int] = TWICE) -> list[str]:
    where: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        if source.path in MIRRORED:
            continue
        seen: dict[str, str] = {}
        for node in classes(source.tree.body):
            seen.setdefault(node.name, f"{source.path}:{node.lineno}")
        for name, place in seen.items():
            where[name].append(place)
    found = [
        f"{name} is {' and '.join(places)}"
        for name, places in sorted(where.items())
        if len(places) > known.get(name, 1)
    ]
    fewer = [f"TWICE[{name!r}]: {len(where[name])} now" for name in known if len(where[name]) < known[name]]
    return found + fewer


def test_one_name_means_one_thing() -> None:
    report("one_name_one_thing", one_name_one_thing(package_sources()))


def test_the_rule_finds() -> None:
    once = Source("plan/pool.py", "class Place: ...")
    again = Source("discovery/base.py", "if x:\n    pass\nelse:\n    class Place: ...")
    assert one_name_one_thing([once, again], {})
    assert one_name_one_thing([once, again], {"Place": 2}) == []
    assert one_name_one_thing([once], {"Place": 2}), "the list is too long"


def test_the_rule_lets_pass() -> None:
    inside = "try:\n    class Place: ...\nexcept E:\n    class Place: ...\nclass _Private: ..."
    other = "def f():\n    class Place: ...\nclass _Private: ..."
    assert (
        one_name_one_thing(
            [
                Source("plan/pool.py", inside),
                Source("plan/schedule.py", other),
                Source(min(MIRRORED), "class Place: ..."),
            ],
            {},
        )
        == []
    )
