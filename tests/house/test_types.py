"""Types say what things are: ``Any`` is rare, and what a type checker is told to overlook gets no more."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator

import pytest

from house.sources import Source, package_sources, report

ANY_PER_THOUSAND = 4.5
"""How many times ``Any`` may stand in a thousand lines: this figure goes down."""
SLACK = 1.0
"""When that figure is further above what is there, it is out of date."""
OVERLOOKED = 25
"""How many comments may say ``type: ignore``."""


def anys(source: Source) -> int:
    """Count where ``Any`` is used: in annotations, in aliases, as a name in quotes; imports do not count."""
    used = 0
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name):
            used += node.id == "Any"
        elif isinstance(node, ast.Attribute):
            used += node.attr == "Any"
        else:
            used += sum(len(re.findall(r"\bAny\b", quoted)) for quoted in quoted_types(node))
    return used


def quoted_types(node: ast.AST) -> Iterator[str]:
    annotations = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "cast":
        annotations += node.args[:1]
    for each in annotations:
        for part in ast.walk(each) if each is not None else ():
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value


def any_is_rare(sources: list[Source], ceiling: float = ANY_PER_THOUSAND) -> list[str]:
    count = Counter({source.path: anys(source) for source in sources})
    rate = 1000 * count.total() / sum(len(source.text.splitlines()) for source in sources)
    if rate > ceiling:
        most = [f"{path} has {used}" for path, used in count.most_common(20) if used]
        return [f"{count.total()}, {rate:.2f} in 1,000 lines, more than {ceiling}", *most]
    if rate < ceiling - SLACK:
        return [f"ANY_PER_THOUSAND is {ceiling}, but there are {rate:.2f}: lower it"]
    return []


def overlooked(sources: list[Source], ceiling: int = OVERLOOKED) -> list[str]:
    found = [
        f"{source.path}:{token.start[0]} {token.string}"
        for source in sources
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline)
        if token.type == tokenize.COMMENT and re.search(r"type:\s*ignore", token.string)
    ]
    if len(found) > ceiling:
        return [f"{len(found)}, more than {ceiling}", *found]
    return [f"OVERLOOKED is {ceiling}, but there are {len(found)}"] if len(found) < ceiling else []


def test_any_is_rare() -> None:
    report("any_is_rare", any_is_rare(package_sources()))


def test_no_more_is_overlooked() -> None:
    report("overlooked", overlooked(package_sources()))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("def f(x: Any) -> dict[str, Any]: ...", 2),
        ("Json = dict[str, typing.Any]", 1),
        ("x: 'list[Any]'\ny = cast('Any', x)", 2),
        ("from typing import Any\n# Any\nx = 'Any'\ndef f(): '''Any.'''", 0),
    ],
)
def test_what_counts(text: str, count: int) -> None:
    assert anys(Source("plan/pool.py", text)) == count


def test_the_rules_find() -> None:
    plain = "x = 1\n" * 999
    one = [Source("plan/pool.py", f"x: Any\n{plain}")]
    assert any_is_rare(one, 0.5)
    assert any_is_rare(one, 1.0) == []
    assert any_is_rare([Source("plan/pool.py", plain)], 1.5), "the figure is out of date"
    one = [Source("plan/pool.py", "x = y  # type: ignore[attr]  # the stubs are behind")]
    assert overlooked(one, 0)
    assert overlooked(one, 1) == []
    assert overlooked(one, 2), "the figure is out of date"
