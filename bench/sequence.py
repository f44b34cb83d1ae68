"""Several benches one after the other, each a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from types import ModuleType


def in_turn(modules: Iterable[ModuleType]) -> int:
    """Run each module as a program; return 1 when one of them did not exit with 0."""
    failed = []
    for module in modules:
        print(f"\n=== python -m {module.__name__}", flush=True)
        if subprocess.run([sys.executable, "-m", module.__name__], check=False).returncode:
            failed.append(module.__name__)
    if failed:
        print(f"\nnot all well: {', '.join(failed)}")
    return 1 if failed else 0
