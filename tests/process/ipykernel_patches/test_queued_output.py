"""What is printed to two streams in turn, in real kernels: the printing thread makes the messages."""

from __future__ import annotations

import pytest

from moorage.kernel.launch import launch
from moorage.process.ipykernel_patches import queued_output

pytestmark = pytest.mark.anyio
both = pytest.mark.parametrize("fork", [False, True], ids=["spawned", "forked"])

HOOKED = """
import sys, threading
there = threading.Event()
def redact(message):
    message["content"]["text"] = message["content"]["text"].replace("secret", "***")
    return message
sys.stdout.pub_thread.schedule(lambda: (sys.stdout.register_hook(redact), there.set()))
assert there.wait(60)
for n in range(20):
    print(n, "secret"); print(n, file=sys.stderr)
"""
UNSENDABLE = r"""
import sys
print("\ud800"); print("x", file=sys.stderr); print("after")
"""


@both
async def test_a_hook_sees_what_another_stream_has_published(fork):
    async with launch("python3", fork=fork) as kernel:
        result = await kernel.execute(HOOKED)
    texts = [one["text"] for one in result.outputs]
    assert texts == [text for n in range(20) for text in (f"{n} ***\n", f"{n}\n")]


@both
async def test_what_cannot_be_sent_fails_in_no_print(fork):
    async with launch("python3", fork=fork) as kernel:
        result = await kernel.execute(UNSENDABLE)
    assert result.status == "ok", result.error
    # Where tornado's log of it goes, and when, is settled by a race of ipykernel's threads.
    lines = "".join(one["text"] for one in result.outputs).splitlines()
    assert lines.index("x") < lines.index("after")


def test_what_ipykernel_lacks_is_named():
    iostream = pytest.importorskip("ipykernel.iostream")
    assert queued_output.missing(iostream.OutStream, iostream.IOPubThread) == set()

    class Streams:
        def _flush(self):
            """Nothing else is there."""

    class Threads:
        def schedule(self):
            """It has no queue."""

    lacking = {"_flush_buffers", "_rotate_buffers", "_is_master_process"}
    lacking |= {"_events", "_event_pipe", "_really_send"}
    assert queued_output.missing(Streams, Threads) == lacking


@pytest.fixture
def anyio_backend():
    return "asyncio"
