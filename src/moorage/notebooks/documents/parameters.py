"""Parameters of a notebook: the cell that sets them, in the notebook's own language."""

from __future__ import annotations

import json
import keyword
import math
import re
import shlex
from collections.abc import Callable, Iterable

from moorage.errors import UsageError
from moorage.json_types import JsonObject
from moorage.notebooks.documents.tags import tags

PARAMETERS = "parameters"
INJECTED = "injected-parameters"


def inject_parameters(notebook: JsonObject, params: JsonObject, language: str | None) -> JsonObject:
    """Return the notebook with a cell that sets parameters, as papermill does it.

    The cell is tagged ``injected-parameters``; it replaces one that is there already, else follows the cell
    tagged ``parameters``, else comes first. The notebook given is not changed; without parameters it is
    returned as it is.

    Args:
        notebook: nbformat-4 dicts.
        params: name -> JSON value.
        language: the notebook's language, in any usual spelling.

    Raises:
        UsageError: parameters cannot be written in that language, or one has an impossible name or value.
    """
    if not params:
        return notebook
    cells = list(notebook["cells"])
    default = _first_tagged(notebook, PARAMETERS)
    declared = cells[default]["source"] if default is not None else ""
    cell: JsonObject = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": [INJECTED]},
        "outputs": [],
        "source": parameters_source(params, language, declared=declared),
    }
    if (notebook.get("nbformat", 4), notebook.get("nbformat_minor", 5)) >= (4, 5):
        taken = {cell.get("id") for cell in cells}
        cell["id"] = INJECTED if INJECTED not in taken else f"{INJECTED}-{len(cells)}"
    injected = _first_tagged(notebook, INJECTED)
    if injected is not None:
        cells[injected] = cell
    else:
        cells.insert(0 if default is None else default + 1, cell)
    return {**notebook, "cells": cells}


def parameters_source(params: JsonObject, language: str | None, *, declared: str = "") -> str:
    """The source of a cell that assigns ``params``, in the language's own literals.

    Args:
        params: name -> JSON value.
        language: in any usual spelling.
        declared: source of the ``parameters`` cell; JavaScript must not declare a name twice.

    Raises:
        UsageError: as :func:`inject_parameters`.
    """
    key = _LANGUAGES.get((language or "").lower())
    if key is None:
        raise UsageError(
            f"Parameters cannot be given to a notebook in {language or 'an unknown language'}",
            why="moorage writes parameters in Python, R, Julia, JavaScript, TypeScript and Bash",
            do="Leave --param out, or pass the value by --env",
        )
    lines = ["// Parameters" if key == "javascript" else "# Parameters"]
    for name, value in params.items():
        if not _NAMES[key].fullmatch(name) or (key == "python" and keyword.iskeyword(name)):
            raise UsageError(
                f"{name!r} cannot be a parameter", why=f"It is no name of a variable in {key}", do="Rename it"
            )
        text = _LITERALS[key](value)
        if key == "bash":
            lines.append(f"{name}={text}")
        elif key == "javascript":
            before = "" if re.search(rf"\b(?:let|var|const)\s+{re.escape(name)}\b", declared) else "var "
            lines.append(f"{before}{name} = {text};")
        else:
            lines.append(f"{name} = {text}")
    return "\n".join(lines)


def undeclared(notebook: JsonObject, params: Iterable[str]) -> list[str]:
    """Return the parameters that the cell tagged ``parameters`` does not name; none without such a cell."""
    index = _first_tagged(notebook, PARAMETERS)
    declared = "" if index is None else notebook["cells"][index]["source"]
    names = set(re.findall(r"[^\W\d]\w*", declared))
    return [] if index is None else sorted(set(params) - names)


def _python(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, list):
        return f"[{', '.join(map(_python, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_python(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _number(value: float, *, nan: str, inf: str) -> str:
    if math.isnan(value):
        return nan
    return repr(value) if math.isfinite(value) else ("-" if value < 0 else "") + inf


def _r(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, (int, float)):
        return _number(value, nan="NaN", inf="Inf")
    if isinstance(value, list):
        return f"list({', '.join(map(_r, value))})"
    if isinstance(value, dict):
        return f"list({', '.join(f'{_r_string(key)} = {_r(item)}' for key, item in value.items())})"
    return _r_string(value)


def _r_string(value: object) -> str:
    # R and Julia read \uXXXX of a surrogate pair as two bad characters: leave non-ASCII as it is.
    return json.dumps(value, ensure_ascii=False)


def _julia(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return _number(value, nan="NaN", inf="Inf")
    if isinstance(value, list):
        return f"[{', '.join(map(_julia, value))}]"
    if isinstance(value, dict):
        return f"Dict({', '.join(f'{_julia(key)} => {_julia(item)}' for key, item in value.items())})"
    return json.dumps(value, ensure_ascii=False).replace("$", "\\$")


def _javascript(value: object) -> str:
    # json writes NaN and Infinity, which are JavaScript though not JSON.
    return json.dumps(value)


def _bash(value: object) -> str:
    if isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value):
        return f"({' '.join(map(_bash, value))})"
    if isinstance(value, (list, dict)):
        raise UsageError(
            "Bash has no nested values", why=f"{value!r} is one", do="Give a string, number or flat list"
        )
    if value is None:
        return "''"
    return str(value).lower() if isinstance(value, bool) else shlex.quote(str(value))


_LITERALS: dict[str, Callable[[object], str]] = {
    "python": _python,
    "R": _r,
    "julia": _julia,
    "javascript": _javascript,
    "bash": _bash,
}
_NAMES = {
    "python": re.compile(r"[^\W\d]\w*"),
    "R": re.compile(r"(?:[A-Za-z]|\.(?![0-9]))[\w.]*"),
    "julia": re.compile(r"[^\W\d][\w!]*"),
    "javascript": re.compile(r"[A-Za-z_$][\w$]*"),
    "bash": re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
}
_LANGUAGES = {
    **dict.fromkeys(("python", "python3", "ipython", "ipython3", "sage", "coconut", "xonsh"), "python"),
    **dict.fromkeys(("r", "ir"), "R"),
    "julia": "julia",
    **dict.fromkeys(("javascript", "js", "typescript", "ts", "deno"), "javascript"),
    **dict.fromkeys(("bash", "sh", "shell"), "bash"),
}


def _first_tagged(notebook: JsonObject, tag: str) -> int | None:
    return next((i for i, cell in enumerate(notebook["cells"]) if tag in tags(cell)), None)
