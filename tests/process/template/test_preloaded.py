"""What a template imports and makes ahead, and what it must not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from moorage.process.template import preloaded

FOLDER = str(Path(preloaded.__file__).parent)


def test_what_is_not_there_is_not_preloaded(monkeypatch):
    monkeypatch.setattr(preloaded, "PRELOAD", ("json", "no_such_module_here"))
    preloaded.preload()
    monkeypatch.setattr(preloaded, "PRELOAD", ("no_such_module_here",))
    with pytest.raises(ImportError):
        preloaded.preload()


def test_a_step_that_fails_is_told_and_costs_no_other(monkeypatch):
    monkeypatch.setattr(preloaded, "warm_patterns", lambda: 1 / 0)
    done = []
    for name in ("warm_completer", "warm_session", "warm_application"):
        monkeypatch.setattr(preloaded, name, lambda name=name: done.append(name))
    assert preloaded.warm() == ["<lambda>: ZeroDivisionError: division by zero"]
    assert done == ["warm_completer"] * 2 + ["warm_session"] * 2 + ["warm_application"] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")
def test_a_template_has_no_thread_no_loop_and_no_numbers_library():
    code = f"""
import sys, os
sys.path.insert(0, {FOLDER!r})
import main
main.prepare()
import zmq, asyncio
print(len(os.listdir("/proc/self/task")), zmq.Context._instance, asyncio.events._get_running_loop())
print([name for name in ("numpy", "matplotlib", "pandas", "scipy", "torch", "uuid1") if name in sys.modules])
import uuid; print(uuid._node, sys.modules["tempfile"]._name_sequence)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.splitlines() == ["1 None None", "[]", "None None"]
