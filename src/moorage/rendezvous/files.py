"""Connection files: written whole at 0600, read with patience.

Source: "Connection files" in jupyter_client's documentation.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from moorage.errors import ProtocolError
from moorage.regular import read_regular
from moorage.wire.connection import ConnectionInfo, is_complete


def write_connection_file(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` as JSON so that no reader ever sees half of it and nobody else may read it.

    Args:
        path: where; an existing file is replaced.
        content: the connection record; it holds the signing key, hence mode 0600 from the first byte on.

    Raises:
        OSError: as the file system says.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(content, indent=2).encode())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_connection_file(path: Path) -> ConnectionInfo | None:
    """Read a connection file that somebody may be rewriting at this moment.

    ipykernel replaces its file by unlink, create, write: a reader meets no file, an empty one and half a
    one before the whole.

    Returns:
        The record once all five addresses are there, else None.
    """
    try:
        content = json.loads(read_regular(path))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not is_complete(content):
        return None
    try:
        return ConnectionInfo.from_dict(content)
    except ProtocolError:
        return None
