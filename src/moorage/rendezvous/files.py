"""Connection files: written whole at 0600, read with patience.

Source: "Connection files" in jupyter_client's documentation.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from moorage.errors import LaunchError, ProtocolError
from moorage.json_types import JsonObject
from moorage.regular import read_regular
from moorage.wire.connection import ConnectionInfo, is_complete


def write_connection_file(path: Path, content: JsonObject) -> None:
    """Write ``content`` as JSON so that no reader ever sees half of it and no other user may read it.

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


def write_again(path: Path, content: JsonObject) -> None:
    """Write a connection file anew where it has gone together with its directory, as at a logout.

    Raises:
        LaunchError: it cannot be written there any more.
    """
    if path.exists():
        return
    try:
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        write_connection_file(path, content)
    except OSError as error:
        why = f"the directory was removed meanwhile: {error.strerror}"
        raise LaunchError(f"{path} cannot be written", why=why, do="Launch the kernel anew") from error


def check_directory(path: Path) -> None:
    """Look whether the directory of a connection file is still there.

    Raises:
        LaunchError: it has gone.
    """
    if not path.parent.is_dir():
        why = "It was removed meanwhile, as a runtime directory is at a logout"
        raise LaunchError(f"the directory {path.parent} has gone", why=why, do="Launch the kernel anew")


def read_connection_file(path: Path) -> ConnectionInfo | None:
    """Read a connection file that another process may be rewriting at this moment.

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
