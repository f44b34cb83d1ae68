"""The execution states of running kernels; real ones in tests/real/test_running.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from moorage.discovery.running import RunningKernel
from moorage.kernel.states import execution_states
from moorage.wire.connection import ConnectionInfo

INFO = ConnectionInfo("tcp", "127.0.0.1", 1, 1, 1, 1, 1, b"secret")
ONE = RunningKernel("abcdefghij", Path("/r/k.json"), "ir", INFO, True, 12, 70.4, 3 << 20, "jupyter")


@pytest.mark.anyio
async def test_a_kernel_that_does_not_answer_at_once_is_busy():
    assert await execution_states([ONE]) == {"abcdefghij": "busy"}  # at port 1 nothing ever answers


@pytest.mark.anyio
async def test_one_that_is_stopped_is_not_asked():
    assert await execution_states([replace(ONE, stopped="stopped (SIGSTOP)")]) == {"abcdefghij": "stopped"}


@pytest.mark.anyio
async def test_where_another_user_listens_and_none_answers_the_kernel_is_unreachable():
    assert await execution_states([replace(ONE, foreign=True)]) == {"abcdefghij": "unreachable"}


@pytest.mark.anyio
async def test_none_is_asked_where_none_runs():
    assert await execution_states([]) == {}
