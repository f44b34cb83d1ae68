"""Plain English: the subject of a sentence is a thing of the code, and no person unnamed.

Counted in docstrings and comments, and in what the documentation says outside its examples.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator

import pytest

from house.sources import ROOT, Source, package_sources, report

PER_THOUSAND = 0.5
"""How many such words a thousand words may hold. In projects whose prose is good it is 0.0 to 0.2."""

CEILINGS: dict[str, float] = {}
"""What the rooms above it may not exceed. These figures only go down, and a room below it goes out."""

UNNAMED = re.compile(r"\b(?:who|whoever|whom|nobody|somebody|anybody|everybody)\b", re.IGNORECASE)
WORD = re.compile(r"[A-Za-z][\w'-]*")
EXAMPLE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def prose(source: Source) -> Iterator[tuple[int, str]]:
    """Yield line and text of what is written for readers."""
    if source.path.endswith(".md"):
        for match in re.finditer(
            r"[^\n]+", EXAMPLE.sub(lambda block: "\n" * block[0].count("\n"), source.text)
        ):
            yield source.text.count("\n", 0, match.start()) + 1, match[0]
        return
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            for offset, line in enumerate(node.value.value.splitlines()):
                yield node.lineno + offset, line
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def room(source: Source) -> str:
    if source.path.endswith(".md"):
        return "docs"
    return source.room if "/" in source.path else "root"


def counted(sources: list[Source]) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Return how many words each room has, and where the words are that name nothing."""
    words: dict[str, int] = defaultdict(int)
    found: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        for line, text in prose(source):
            words[room(source)] += len(WORD.findall(text))
            found[room(source)] += [f"{source.path}:{line} {text.strip()}" for _ in UNNAMED.findall(text)]
    return words, found


def plain_english(sources: list[Source], ceilings: dict[str, float] = CEILINGS) -> list[str]:
    words, found = counted(sources)
    violations = []
    for name, total in words.items():
        rate, ceiling = 1000 * len(found[name]) / total, ceilings.get(name, PER_THOUSAND)
        if rate > ceiling:
            violations += [f"{name} has {rate:.2f} in 1,000 words, more than {ceiling}", *found[name]]
        if name in ceilings and rate <= PER_THOUSAND:
            violations.append(f"CEILINGS names {name}, which has {rate:.2f}: take it out")
    return violations


def documents() -> list[Source]:
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Source(file.relative_to(ROOT).as_posix(), file.read_text("utf-8")) for file in files]


def test_code_and_documents_keep_plain_english() -> None:
    report("plain_english", plain_english([*package_sources(), *documents()]))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("plan/pool.py", "'''Tell whoever waits.'''"),
        ("plan/pool.py", "def f():\n    '''Start.\n\n    Nobody waits.\n    '''"),
        ("plan/pool.py", "x: int\n'''For the one to whom it belongs.'''"),
        ("plan/pool.py", "x = 1  # somebody reads it"),
        ("tasks.py", "# anybody may"),
        ("docs/how-to/first.md", "Everybody may *read* it"),
        ("README.md", "Those who read"),
    ],
)  # fmt: skip
def test_the_rule_finds(path: str, text: str) -> None:
    source = Source(path, text)
    assert len(plain_english([source], {})) == 2
    assert plain_english([source], {room(source): 1000.0}) == []
    assert plain_english([Source(path, text + "\n# word" * 2000)], {room(source): 1.0}), "no longer needed"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("plan/pool.py", "'''The kernel whose whole tree ended.'''\nwho = 'nobody'"),
        ("plan/pool.py", "# one more who" + " word" * 2000),
        ("README.md", "Try it:\n```console\n$ whoami\n$ who\n```\n"),
    ],
)
def test_the_rule_lets_pass(path: str, text: str) -> None:
    assert plain_english([Source(path, text)], {}) == []
