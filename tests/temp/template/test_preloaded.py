"""What a template imports ahead: all of it is there, and nothing of it is unsafe to fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.temp.template.choice import read_by_imports
from moorage.temp.template.preloaded import HUB, TOLD_BY_HUBS

pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux alone")

HOME = "/nonexistent/somewhere"
SAFE = """
import asyncio, gc, json, os, sys
from moorage.process.template import startup_code
from moorage.temp.template import homes, preloaded

def watched(read):
    kind = type(os.environ)
    get = kind.__getitem__
    kind.__getitem__ = lambda self, name: (read.add(os.fsdecode(name)), get(self, name))[1]
    preloaded.preload(sys.argv[1])
    kind.__getitem__ = get

def kept(name):
    home = os.environ[name]
    for each in homes.find(home):
        each.renew(home, "/new")
    del os.environ[name]
    held = (value for holder in gc.get_objects() for value in gc.get_referents(holder))
    return sorted({str(value) for value in held if value is not home and homes.mentions(value, home)})

def below(kind):
    return [kind, *(each for one in kind.__subclasses__() for each in below(one))]

def instances(kind):
    return [each.__name__ for each in below(kind) if vars(each).get("_instance") is not None]

def main():
    read = set()
    watched(read)
    import zmq
    from traitlets.config import SingletonConfigurable
    return {
        "left": startup_code.left(0),
        "missing": [name for name in preloaded.PRELOAD if name not in sys.modules],
        "made": instances(SingletonConfigurable) + instances(zmq.Context),
        "loop": getattr(asyncio.get_event_loop_policy()._local, "_loop", None) is not None,
        "children": open(f"/proc/self/task/{os.getpid()}/children").read().strip(),
        "read": sorted(read),
        "homes": [each for name in sys.argv[2:] for each in kept(name)],
    }

print(json.dumps(main()))
"""
"""Prints what imports left behind."""


def run(code: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        env={"PATH": os.environ["PATH"], "HOME": HOME, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("server", ["jupyterlab", HUB])
def test_all_of_it_is_there_and_nothing_of_it_is_unsafe_to_fork(server: str) -> None:
    pytest.importorskip(server, reason=f"{server} is not installed")
    told_by_hub = {name: f"/nonexistent/own-{name}" for name in TOLD_BY_HUBS if server == HUB}
    done = run(SAFE, server, "HOME", *told_by_hub, **told_by_hub)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["missing"] == []
    assert (told["left"], told["made"], told["loop"], told["children"]) == ("", [], False, "")
    assert told["homes"] == [], "a place that homes.find() does not find"
    unknown = {name for name in told["read"] if not read_by_imports({name: ""})} - {
        "HOME",
        "USER",
        *told_by_hub,
    }
    assert unknown == set(), "choice.py knows what imports read"


LEAN = """
import sys
started = []
sys.addaudithook(lambda event, found: started.append(found[1]) if event == "subprocess.Popen" else None)
from moorage.temp.template import preloaded
preloaded.preload("jupyterlab")
assert not [words for words in started if "yarn" in str(words)], started
assert "lark" not in sys.modules
from jsonschema import FormatChecker
assert FormatChecker().conforms("https://a.example/", "iri")
assert not FormatChecker().conforms("no such thing", "iri")
from jupyterlab import commands
assert commands._yarn_config.__module__ == "jupyterlab.commands"
print("rfc3987_syntax" in sys.modules)
"""


def test_no_program_is_run_and_no_grammar_compiled_ahead() -> None:
    pytest.importorskip("rfc3987_syntax", reason="Jupyter Server of this version checks no IRIs")
    done = run(LEAN)
    assert (done.stdout, done.stderr) == ("True\n", "")


SWITCHED = "from moorage.temp.template import preloaded; print(preloaded.extensions())"
REFUSED = """
import sys
from moorage.temp.template import preloaded
try:
    preloaded.preload(sys.argv[1])
except preloaded.ImportRefused as error:
    print(error)
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    (tmp_path / "c" / "jupyter_server_config.d").mkdir(parents=True)
    return tmp_path / "c"


def switch(configuration: Path, **extensions: bool) -> None:
    text = json.dumps({"ServerApp": {"jpserver_extensions": extensions}})
    (configuration / "jupyter_server_config.d" / "own.json").write_text(text)


def test_extensions_are_those_that_are_switched_on(configuration: Path) -> None:
    switch(configuration, mine=True, other=False, jupyterlab=False)
    found = run(SWITCHED, JUPYTER_CONFIG_PATH=str(configuration)).stdout
    assert "'mine'" in found
    assert "other" not in found
    assert "'jupyterlab'" not in found
    assert "jupyterlab" in run(SWITCHED).stdout


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ValueError('no licence')", "mine cannot be imported: ValueError: no licence"),
        ("raise SystemExit('bye')", "mine cannot be imported: SystemExit: bye"),
        ("def _jupyter_server_extension_points(): 1 / 0", "mine failed: ZeroDivisionError: division by zero"),
        (
            "def _jupyter_server_extension_points(): return [{'module': 'no_such'}]",
            "no_such cannot be imported: ModuleNotFoundError: No module named 'no_such'",
        ),
        ("", ""),
    ],
)
def test_an_extension_that_cannot_be_imported_is_named(configuration: Path, code: str, said: str) -> None:
    (configuration / "mine.py").write_text(code)
    switch(configuration, mine=True)
    done = run(REFUSED, "json", JUPYTER_CONFIG_PATH=str(configuration), PYTHONPATH=str(configuration))
    assert (done.returncode, done.stdout.strip()) == (0, said), done.stderr


def test_switches_are_watched_even_where_there_is_no_folder(configuration: Path) -> None:
    switch(configuration, mine=True)
    code = "from moorage.temp.template import preloaded; print(*preloaded.switches(), sep='\\n')"
    absent = configuration.parent / "absent"
    found = run(code, JUPYTER_CONFIG_PATH=f"{configuration}:{absent}").stdout.splitlines()
    assert str(configuration / "jupyter_server_config.d" / "own.json") in found
    assert str(absent / "jupyter_server_config.d") in found
