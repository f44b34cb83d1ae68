"""The execution states of running kernels, asked for by a short request to each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from moorage.discovery.running import RunningKernel
from moorage.errors import MoorageError
from moorage.kernel.zmq_client import zmq_client
from moorage.wire.messages import kernel_info_request

ExecutionState = Literal["idle", "busy", "stopped", "unreachable", "unknown"]

_ANSWER_SECONDS = 0.5
"""Seconds for an answer: a kernel that has nothing to do answers within milliseconds."""


async def execution_states(kernels: Sequence[RunningKernel]) -> dict[str, ExecutionState]:
    """Ask every kernel at once for its ``kernel_info_reply``.

    Args:
        kernels: living ones.

    Returns:
        By id: ``idle``; ``busy`` where no answer came in half a second; ``stopped`` where its process is
        stopped; ``unreachable`` where no answer came and what listens belongs to another user: it may be no
        kernel at all; ``unknown`` where it could not be asked. Cancelling is safe.
    """
    async with asyncio.TaskGroup() as group:
        tasks = {each.id: group.create_task(_state(each)) for each in kernels}
    return {name: task.result() for name, task in tasks.items()}


async def _state(kernel: RunningKernel) -> ExecutionState:
    if kernel.stopped:
        return "stopped"
    try:
        async with zmq_client(kernel.info).client as client:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await client.request("shell", kernel_info_request()).reply
    except TimeoutError:
        return "unreachable" if kernel.foreign else "busy"
    except MoorageError:
        return "unknown"
    return "idle"
