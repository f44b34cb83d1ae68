"""Single values of flags, configuration and metadata.

Every parser takes a value and the folder that relative paths belong to, and returns the checked value. It
raises ValueError with what the value must be, in words that go on after "it must be".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

from msgspec import Struct

from moorage.json_types import JsonMapping, JsonObject

Parser = Callable[[object, Path], Any]
"""See the module: a value and a folder in, the checked value out."""


class Need(Struct, frozen=True):
    """A file or notebook that must be there first; ``name`` is the link to place beside the notebook."""

    file: str
    name: str | None = None


def text(value: object, _: Path) -> str:
    """Parse a text that says something."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("a text")
    return value


def flag(value: object, _: Path) -> bool:
    """Parse true or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 - caught as what it must be
    return value


def count(least: int) -> Parser:
    """Return a parser of whole numbers from ``least`` up."""

    def parse(value: object, _: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"a whole number from {least} up")
        return value

    return parse


def path(value: object, base: Path) -> Path:
    """Parse a path; ``-`` stays what it is."""
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("a path")
    return Path("-") if str(value) == "-" else base / value


def texts(value: object, _: Path) -> tuple[str, ...]:
    """Parse one text or a list of them."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(each, str) and each for each in values):
        raise ValueError("a text or a list of texts")
    if any("\0" in each for each in values):
        raise ValueError("without zero bytes")
    return tuple(values)


LONGEST_GLOB = 4096
"""A longer pattern (characters) is refused: no path is longer on Linux."""
_DEEPEST_GLOB = 100


def globs(value: object, base: Path) -> tuple[str, ...]:
    """Parse one pattern of paths or a list of them: 4096 characters and 100 folders at most each."""
    found = texts(value, base)
    if any(len(each) > LONGEST_GLOB or each.count("/") > _DEEPEST_GLOB for each in found):
        raise ValueError(f"patterns of at most {LONGEST_GLOB} characters and {_DEEPEST_GLOB} folders")
    return found


def listed(value: object, base: Path) -> tuple[str, ...]:
    """Parse names separated by commas, or a list of them."""
    return tuple(part.strip() for text in texts(value, base) for part in text.split(",") if part.strip())


def choice(*choices: str) -> Parser:
    """Return a parser of one of these words."""

    def parse(value: object, _: Path) -> str:
        if value not in choices:
            raise ValueError(" or ".join(choices))
        return str(value)

    return parse


def seconds(value: object, _: Path = Path()) -> float:
    """Parse a duration: seconds as a number, or ``90s``, ``10m``, ``1h30m``, ``250ms``, ``2d``.

    Raises:
        ValueError: it is none; the message says what it must be.
    """
    if isinstance(value, str):
        units = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|[smhd]|$)\s*", value.strip())
        if "".join(number + unit for number, unit in parts) == re.sub(r"\s", "", value) != "":
            return sum(float(number) * units[unit] for number, unit in parts)
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    raise ValueError('seconds from 0 up or a text like "90s", "10m" or "1h30m"')


def size(value: object, _: Path = Path()) -> int:
    """Parse an amount of memory: bytes, or ``500MB`` (powers of 1000), ``4GiB`` or ``4G`` (powers of 1024).

    Raises:
        ValueError: it is none; the message says what it must be.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?", str(value).strip(), re.IGNORECASE)
    if isinstance(value, bool) or found is None or ((found[3] or "").lower() == "ib" and not found[2]):
        raise ValueError('bytes or a text like "4GiB", "500MB" or "2G"')
    base = 1000 if (found[3] or "").lower() == "b" else 1024
    return int(float(found[1]) * base ** " kmgt".index(found[2].lower() or " "))


def literal(text: str) -> object:
    """Return the value ``--param K=V`` means; the text itself where it is none.

    JSON; Python's True, False and None; numbers of YAML: ``-.5``, ``2.``, ``+4``, ``.inf``, ``.nan``.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text


_WORDS: JsonObject = {
    "True": True,
    "False": False,
    "None": None,
    ".inf": math.inf,
    "+.inf": math.inf,
    "-.inf": -math.inf,
    ".nan": math.nan,
}
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,400}\.[0-9]{0,400}|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?|\+[1-9][0-9]{0,400}"
)


def _pairs(value: object, read: Callable[[str], object]) -> JsonObject:
    if isinstance(value, Mapping):
        return {str(key): each for key, each in value.items()}
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError("a table")
    split = [each.partition("=") for each in value]
    if not all(key and mark for key, mark, _ in split):
        raise ValueError("NAME=VALUE")
    return {key: read(text) for key, _, text in split}


def param(value: object, _: Path) -> JsonObject:
    """Parse parameters: a table, or a list of ``NAME=VALUE`` (values as in :func:`literal`)."""
    table = _pairs(value, literal)
    if not all(key.isidentifier() for key in table):
        raise ValueError("a table whose keys can be names of variables")
    return {key: _dated(each) for key, each in table.items()}


def _dated(value: object) -> object:
    """Return a value of TOML as one of JSON: dates and times become texts, which every language can read."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, list):
        return [_dated(each) for each in value]
    if isinstance(value, dict):
        return {key: _dated(each) for key, each in value.items()}
    return value


def env(value: object, _: Path) -> dict[str, str]:
    """Parse environment variables: a table, or a list of ``NAME=VALUE``."""
    table = _pairs(value, str)
    if not all(isinstance(each, str | int | float) and not isinstance(each, bool) for each in table.values()):
        raise ValueError("a table of texts")
    return {key: str(each) for key, each in table.items()}


def needs(value: object, _: Path) -> tuple[Need, ...]:
    """Parse needs: files, or tables with ``file`` and ``as``."""
    if isinstance(value, str | Mapping):
        value = [value]
    if not isinstance(value, list | tuple):
        raise ValueError(_NEEDS)  # noqa: TRY004 - caught as what it must be
    return tuple(_need(each) for each in value)


_NEEDS = 'a list of files or of tables like {file = "../base/state.h5", as = "start.h5"}'


def _need(value: object) -> Need:
    table: Mapping[Any, Any] = value if isinstance(value, Mapping) else {"file": value}
    if not all(isinstance(each, str) and each for each in table.values()):
        raise ValueError(_NEEDS)
    if not {"file"} <= table.keys() <= {"file", "as"}:
        raise ValueError(_NEEDS)
    name = table.get("as")
    if any("\0" in each for each in table.values()):
        raise ValueError("without zero bytes")
    if name is not None and (name in (".", "..") or "/" in name):
        raise ValueError("such that `as` is a plain name: the link is placed in the notebook's own folder")
    return Need(table["file"], name)


def tables(value: object, _: Path) -> JsonMapping:
    """Parse a table."""
    if not isinstance(value, Mapping):
        raise ValueError("a table")  # noqa: TRY004 - caught as what it must be
    return value
