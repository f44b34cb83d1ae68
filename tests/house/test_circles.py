"""No file imports, by whatever way, a file that imports it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from house.sources import Source, imports, package_sources, report

CIRCLES: tuple[frozenset[str], ...] = ()
"""The circles there are today: this list only gets shorter."""


def graph(sources: list[Source]) -> dict[str, set[str]]:
    """Return which files each file imports by name, inside functions and for type checkers too.

    That a package's ``__init__.py`` runs before its modules counts as an import only where a file says so.
    """
    files = {module_name(source.path): source.path for source in sources}
    found: dict[str, set[str]] = {source.path: set() for source in sources}
    for source in sources:
        for _, name in imports(source):
            target = name
            while target and target not in files:
                target = target.rpartition(".")[0]
            if target and files[target] != source.path:
                found[source.path].add(files[target])
    return found


def module_name(path: str) -> str:
    return ".".join(["moorage", *path.removesuffix(".py").split("/")]).removesuffix(".__init__")


def reached(edges: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        for path in edges[ahead.pop()] - found:
            found.add(path)
            ahead.append(path)
    return found


def all_circles(sources: list[Source]) -> Iterator[frozenset[str]]:
    """Yield the sets of files in which each reaches each other one."""
    edges = graph(sources)
    reach = {path: reached(edges, path) for path in edges}
    done: set[str] = set()
    for path in sorted(edges):
        if path in reach[path] and path not in done:
            circle = frozenset(other for other in reach[path] if path in reach[other])
            done |= circle
            yield circle


def circles(sources: list[Source], known: tuple[frozenset[str], ...] = CIRCLES) -> list[str]:
    found = list(all_circles(sources))
    edges = graph(sources)
    new = [
        f"{path} imports {', '.join(sorted(edges[path] & circle))}"
        for circle in found
        if not any(circle <= old for old in known)
        for path in sorted(circle)
    ]
    stale = [f"CIRCLES names {', '.join(sorted(old))}: no longer so" for old in known if old not in found]
    return new + stale


def test_no_file_imports_what_imports_it() -> None:
    report("circles", circles(package_sources()))


@pytest.mark.parametrize(
    "texts",
    [
        {"wire/a.py": "from moorage.wire import b", "wire/b.py": "import moorage.wire.a"},
        {"wire/a.py": "from .b import f", "wire/b.py": "def f():\n    from moorage.wire.a import g"},
        {"wire/a.py": "from . import b", "wire/b.py": "if TYPE_CHECKING:\n    from moorage.wire.a import C"},
        {"wire/__init__.py": "from moorage.wire.a import f", "wire/a.py": "from moorage.wire import g"},
        {"a.py": "import moorage.b", "b.py": "from moorage.c import d", "c.py": "from moorage import a"},
    ],
)
def test_the_rule_finds(texts: dict[str, str]) -> None:
    sources = [Source(path, text) for path, text in texts.items()]
    assert len(circles(sources, ())) == len(texts)
    assert circles(sources, (frozenset(texts),)) == []
    assert circles(sources, (frozenset({*texts, "more.py"}),)), "the list of what is known is too long"


def test_the_rule_lets_pass() -> None:
    assert (
        circles(
            [
                Source("wire/__init__.py", "from moorage.wire.a import f"),
                Source("wire/a.py", "import os\nfrom moorage.wire.b import g"),
                Source("wire/b.py", "'''moorage.wire.a'''"),
            ],
            (),
        )
        == []
    )
