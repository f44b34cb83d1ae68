"""Handing a spare out: it still answers, and what is written down of it says whose it is."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.plan.targets import parse_target
from moorage.temp.readiness import answers_within
from moorage.temp.record import Owner, write_record
from moorage.temp.server import Serving

CHECK = 5.0
"""Seconds within which a spare has to answer; a machine on which a class begins is busy."""


async def healthy(serving: Serving) -> bool:
    """Tell whether a server that answered once still does. Cancelling closes the connection."""
    return await answers_within(parse_target(serving.target), serving.record.ready, CHECK)


async def handed_out(serving: Serving, directory: Path, owner: Owner) -> Serving | None:
    """Return a spare as the server of a visitor; None where it does not answer.

    Args:
        serving: the spare.
        directory: its private directory.
        owner: that gets it.

    Raises:
        OutputError: whose it is cannot be written down, so that a later service would not know.

    Cancelling leaves it a spare.
    """
    if not await healthy(serving):
        return None
    record = msgspec.structs.replace(
        serving.record, visitor=owner.visitor, address=owner.address, handed_out=time.time()
    )
    write_record(directory, record)
    return replace(serving, record=record)
