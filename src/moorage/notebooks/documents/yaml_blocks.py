"""The YAML in a text document, looked at before jupytext reads it: nothing in it may grow without bound.

A few lines whose aliases name each other stand for more values than a machine has memory, and PyYAML reads
about 100 kB in a second. https://en.wikipedia.org/wiki/Billion_laughs_attack
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from itertools import islice

from moorage.errors import DocumentError

LARGEST = 256 * 1024
"""What one block may hold, in characters."""

_RULE = re.compile(r"^(?P<lead>\W{0,4})---[ \t]*\W{0,3}$", re.MULTILINE)
# The options of a MyST directive: between rules, or lines that begin with a colon.
_OPTIONS = re.compile(
    r"^ {0,3}(?:`{3,}|~{3,}|:{3,})\{[^\n]*\n"
    r"(?P<block> *---[ \t]*\n.*?(?:^ *(?:-{3,}|\.{3}|`{3,}|~{3,}|:{3,})|\Z)|(?:[ \t]*:[^\n]*\n)+)",
    re.MULTILINE | re.DOTALL,
)


def check_yaml(text: str, name: str) -> None:
    """Refuse a document whose YAML has aliases or is very long. Takes time in proportion to the text.

    Args:
        text: the document.
        name: how to call it in an error.

    Raises:
        DocumentError: it has; says what to do.
    """
    for block in _blocks(text):
        if len(block) > LARGEST:
            raise DocumentError(
                f"{name} has a header of {len(block) >> 10} KiB",
                why=f"More than {LARGEST >> 10} KiB of YAML are not read",
                do="Move the data into a file of its own",
            )
        if "&" in block and "*" in block and (alias := _alias(block)):
            raise DocumentError(
                f"{name} has the alias *{alias} in its YAML",
                why="A few aliases can stand for more values than fit into memory, so none is read",
                do="Write the value out",
            )


def _blocks(text: str) -> Iterator[str]:
    rules = list(islice(_RULE.finditer(text), 2))
    if len(rules) == 2:
        block, lead = text[rules[0].end() : rules[1].start()], rules[0]["lead"].strip()
        yield re.sub(rf"^[ \t]*{re.escape(lead)}", "", block, flags=re.MULTILINE) if lead else block
    for options in _OPTIONS.finditer(text):
        block = options["block"].lstrip().removeprefix("---")
        yield re.sub(r"^[ \t]*:", "", block, flags=re.MULTILINE) if block.startswith(":") else block


def _alias(block: str) -> str:
    """Return the first alias in a block of YAML, or an empty text."""
    yaml = importlib.import_module("yaml")  # jupytext brings it
    try:
        tokens = yaml.scan(block)
        return next((str(token.value) for token in tokens if isinstance(token, yaml.AliasToken)), "")
    except yaml.YAMLError:  # jupytext tells of it
        return ""
