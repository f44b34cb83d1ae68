"""What is shown of a kernel type in the place of values that look secret."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

HIDDEN = "(not shown)"
_SECRET_NAME = re.compile(
    r"key|token|secret|passw|pwd|credential|auth|cookie|private|session|dsn", re.IGNORECASE
)
# A long word of letters and digits in turn, or the password in a URL.
_SECRET_VALUE = re.compile(
    r"(?=[^/]*\d)(?=[^/]*[A-Za-z])[A-Za-z0-9+_=.-]{20,}|[a-z][a-z0-9+]*://[^/\s]*:[^/\s]*@.*"
)


def redacted(value: object, name: str = "") -> object:
    """Return a value of a kernelspec, :data:`HIDDEN` in the place of each text that looks secret.

    Args:
        value: as JSON has it; in tables and lists every text is looked at.
        name: what it is called: a text also looks secret by its name.
    """
    if isinstance(value, Mapping):
        return {str(key): redacted(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(each, name) for each in value]
    return _text(name, value) if isinstance(value, str) else value


def without_secrets(words: Sequence[str]) -> list[str]:
    """Return a command without the values of flags that look secret."""
    result: list[str] = []
    hide = False
    for word in words:
        flag, mark, value = word.partition("=")
        if hide:
            result.append(HIDDEN)
        elif mark and flag.startswith("-"):
            result.append(f"{flag}={_text(flag, value)}")
        else:
            result.append(word)
        hide = not hide and word.startswith("--") and not mark and bool(_SECRET_NAME.search(word))
    return result


def _text(name: str, value: str) -> str:
    return HIDDEN if _SECRET_NAME.search(name) or _SECRET_VALUE.fullmatch(value) else value
