"""A control group that has little memory, for tests of what ends for want of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moorage.process import procfs


def limited_group(called: str) -> Path:
    """Make a control group with a limit of 60 MB, or skip."""
    own = procfs.oom_file(os.getpid())
    if own is None or os.geteuid() != 0:
        pytest.skip("no memory controller that this user may use")
    group = Path(own).parent / called
    try:
        group.mkdir()
        limit = next(name for name in ("memory.limit_in_bytes", "memory.max") if (group / name).exists())
        (group / limit).write_text(str(60_000_000))
        for name in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
            if (group / name).exists():
                (group / name).write_text(str(60_000_000 if "memsw" in name else 0))
    except (OSError, StopIteration) as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"a control group cannot be limited here: {error}")
    return group
