"""Goes behind walls for nothing, and says which step was refused: ``python -I -S -E trial.py WALLS``.

WALLS is what :func:`moorage.process.walls.inside.enter` takes, as JSON. It prints ``ok``, or a stage and an
errno. Standard library only, from Python 3.9 on.
"""
# ruff: noqa: PTH100, PTH120 - as the modules that it needs

from __future__ import annotations

import json
import os
import sys

assert sys.platform == "linux", "only Linux has namespaces"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.process.walls import inside
else:
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from walls import inside


def tried(walls: dict[str, Any]) -> str:
    """Return what was refused, or ``ok``.

    Args:
        walls: what is asked for.
    """
    ids = os.geteuid(), os.getegid()
    reader, writer = os.pipe()
    try:
        pid = inside.clone(walls)
    except OSError as error:
        return f"walls/fork {error.errno}"
    if pid == 0:
        said = "ok"
        try:
            inside.enter(walls, ids)
            inside.close(walls)
        except OSError as error:
            said = f"{getattr(error, 'stage', 'walls')} {error.errno}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    said = os.read(reader, 100).decode()
    os.waitpid(pid, 0)
    return said or "walls 0"


if __name__ == "__main__":
    os.write(1, f"{tried(json.loads(sys.argv[1]))}\n".encode())
