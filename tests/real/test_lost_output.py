"""Kernels that print more than their publisher keeps, to a client that does not read meanwhile."""

from __future__ import annotations

import pytest
from bench.dialects import DIALECTS
from bench.drill_lines import one_run

pytestmark = [pytest.mark.real, pytest.mark.slow]

LINES, FILL = 2500, "x" * 20_000
"""Five times what a socket's buffers and ZeroMQ's limit of a thousand messages hold."""


@pytest.mark.parametrize("forked", [False, True])
def test_ipykernel_drops_nothing(tmp_path, forked):
    printed = one_run(tmp_path, "python3", lines=LINES, fill=FILL, forked=forked, pause=True)
    assert (printed.status, printed.missing, printed.ordered) == ("ok", 0, True)


@pytest.mark.parametrize("kernel", ["bash", "ir", "deno"])
def test_nor_do_kernels_whose_limit_can_be_lifted_or_that_wait(tmp_path, kernel):
    if not DIALECTS[kernel].here:
        pytest.skip(f"there is no kernelspec {kernel}")
    # bash_kernel takes long for long lines.
    lines, fill = (8000, "x" * 1500) if kernel == "bash" else (LINES, FILL)
    printed = one_run(tmp_path, kernel, lines=lines, fill=fill, pause=True)
    assert (printed.status, printed.missing, printed.ordered) == ("ok", 0, True)


@pytest.mark.parametrize("kernel", ["xpython", "tslab"])
def test_what_others_drop_is_told(tmp_path, kernel):
    if not DIALECTS[kernel].here:
        pytest.skip(f"there is no kernelspec {kernel}")
    printed = one_run(tmp_path, kernel, lines=LINES, fill=FILL, pause=True)
    assert printed.missing
    assert (printed.status, printed.error) == ("failed", "OutputLost")
