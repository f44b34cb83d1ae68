"""The token of the admin page on a port of its own: kept in a file of the state directory."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from moorage.errors import OutputError
from moorage.temp.identity import NO_LINKS, write_private

FILE = "admin-token"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,200}\n?", re.ASCII)


def admin_token(state: Path) -> str:
    """Return the token of a state directory; its file is made (0600) where there is none.

    Args:
        state: directory of a service, which this process has for itself.

    Raises:
        OutputError: it cannot be read or written, or holds something else.
    """
    path = state / FILE
    try:
        try:
            descriptor = os.open(path, os.O_RDONLY | NO_LINKS)
        except FileNotFoundError:
            token = secrets.token_urlsafe(32)
            unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            write_private(unfinished, f"{token}\n".encode())
            unfinished.rename(path)
            return token
        with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
            text = file.read(1000)
    except OSError as error:
        raise OutputError(f"the token {path} cannot be read", why=error.strerror or str(error)) from None
    if not _TOKEN.fullmatch(text):
        raise OutputError(f"{path} holds no token", do="Delete it, and a new one is made")
    return text.strip()
