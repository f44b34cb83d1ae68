"""Packs the keeper into one file, for machines without moorage: Python 3.9 or newer runs it."""

from __future__ import annotations

from pathlib import Path

PARTS: dict[str, str] = {
    "wire.link": "wire/link.py",
    "plan.keeping": "plan/keeping.py",
    "procfs": "process/procfs.py",
    "warden.confine": "process/warden/confine.py",
    "warden.kill_tree": "process/warden/kill_tree.py",
    "warden.program": "process/warden/program.py",
    "netns.enter": "process/netns/enter.py",
    "netns.relay": "process/netns/relay.py",
    "walls.stage": "process/walls/stage.py",
    "walls.view": "process/walls/view.py",
    "walls.landlock": "process/walls/landlock.py",
    "walls.system_calls": "process/walls/system_calls.py",
    "walls.inside": "process/walls/inside.py",
    "keeper.process.record": "keeper/process/record.py",
    "keeper.process.output": "keeper/process/output.py",
    "keeper.process.links": "keeper/process/links.py",
    "keeper.process.door": "keeper/process/door.py",
    "keeper.process.tree": "keeper/process/tree.py",
    "keeper.process.child": "keeper/process/child.py",
    "keeper.process.charge": "keeper/process/charge.py",
    "keeper.process.tended": "keeper/process/tended.py",
    "keeper.process.beside": "keeper/process/beside.py",
    "keeper.process.starting": "keeper/process/starting.py",
    "keeper.process.server": "keeper/process/server.py",
    "keeper.process.begin": "keeper/process/begin.py",
}
"""Modules by the names under which the keeper imports them, each after those that it needs."""
LINUX = frozenset({
    "procfs", "warden.kill_tree", "keeper.process.tended", "netns.enter", "netns.relay",
    *(f"walls.{name}" for name in ("stage", "view", "landlock", "system_calls", "inside")),
})  # fmt: skip
"""What only Linux loads."""
MAIN = "keeper/process/main.py"
_PACKAGE = Path(__file__).resolve().parent.parent

_LOADER = """
import sys

if sys.version_info < (3, 9):
    sys.exit("a keeper needs Python 3.9 or newer, and this is " + sys.version.split()[0])


def load(parts, linux):
    made = type(sys)
    for name, text in parts:
        if name in linux and sys.platform != "linux":
            continue
        above, _, last = name.rpartition(".")
        known = ""
        for step in above.split(".") if above else ():
            known, before = (known + "." + step if known else step), known
            if known not in sys.modules:
                sys.modules[known] = made(known)
                if before:
                    setattr(sys.modules[before], step, sys.modules[known])
        module = sys.modules[name] = made(name)
        if above:
            setattr(sys.modules[above], last, module)
        exec(compile(text, "moorage/" + name, "exec"), module.__dict__)
"""


def packed() -> str:
    """Return the source of a program that does what ``main.py`` does, and needs no other file."""
    parts = [(name, _source(path)) for name, path in PARTS.items()]
    main = _source(MAIN)
    return (
        f"# The keeper of moorage.\n{_LOADER}\n\n"
        f"load({parts!r}, {sorted(LINUX)!r})\n"
        f"exec(compile({main!r}, 'moorage/main', 'exec'))\n"
    )


def _source(path: str) -> str:
    return (_PACKAGE / path).read_text("utf-8")
