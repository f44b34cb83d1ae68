"""Running code behind walls, and asking what it finds there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moorage.process.walls.probe import given, trial_walls

PACKAGE = Path(__file__).parents[3] / "src" / "moorage"
RUN = """
import json, os, sys
sys.path += [sys.argv[1], sys.argv[1] + "/process"]
from walls import inside
walls, code = json.loads(sys.argv[2]), sys.argv[3]
reader, fate = os.pipe()
ids = os.geteuid(), os.getegid()
if inside.clone(walls) == 0:
    try:
        inside.enter(walls, ids)
        inside.close(walls)
        inside.split(walls, fate)
    except OSError as error:
        print("refused", getattr(error, "stage", ""), error, flush=True)
        os._exit(1)
    os.chdir(walls["private"])
    os.execv(sys.executable, [sys.executable, "-I", "-c", code])
os.close(fate)
os.wait()
print("fate", os.read(reader, 100).decode(), flush=True)
"""


def walls_here(private: Path, **changed: Any) -> dict[str, Any]:
    """Return all walls that this machine gives, around a folder."""
    found = given()
    assert not found.why, found.why
    walls = trial_walls(str(private), user_namespace=found.user_namespace, ids=found.ids, refused=set())
    readable = {sys.prefix, sys.base_prefix, *changed.pop("readable", ())}
    return {**walls, "readable": sorted(readable), "disk": 16 << 20, **changed}


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a folder with a neighbour, as servers' folders have them."""
    with tempfile.TemporaryDirectory(prefix="mw-", dir="/tmp") as folder:
        for name in ("servers/own", "servers/other"):
            (Path(folder) / name).mkdir(parents=True)
        (Path(folder) / "servers/other/secret").write_text("theirs")
        (Path(folder) / "key").write_text("the service's")
        yield Path(folder) / "servers/own"


def behind(walls: dict[str, Any], code: str, **rest: Any) -> tuple[str, str]:
    """Run code behind walls; return what it printed, and its wait status."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-E", "-c", RUN, str(PACKAGE), json.dumps(walls), code],
        capture_output=True, text=True, timeout=120, check=False, **rest,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said, _, fate = done.stdout.rpartition("fate ")
    return said + done.stderr, fate.strip()


def told(walls: dict[str, Any], code: str) -> Any:
    """Return what code behind walls printed as JSON."""
    said, fate = behind(walls, f"import json, os, sys\n{code}")
    assert fate == "0", said
    return json.loads(said)


def own_children() -> set[str]:
    """Return this process's children."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
