"""What a service writes down of each server, for the service that comes after it."""
# ruff: noqa: E402 - control groups are not there on Windows

from __future__ import annotations

import logging
import shutil
import sys
from functools import partial
from pathlib import Path

import msgspec

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import OutputError
from moorage.plan.control_groups import ours
from moorage.plan.visits import UNNAMED, OfferName, ServerId, VisitorId
from moorage.plan.walls import Share
from moorage.process import control_groups
from moorage.tasks import in_thread
from moorage.temp.identity import write_private

log = logging.getLogger("moorage.temp")

FILE = "record.json"


class Owner(msgspec.Struct, frozen=True):
    """Whose a server is: a visitor's, or None's as a spare; and the address that it counts for, or none."""

    visitor: VisitorId | None
    address: str = ""


class ServerRecord(msgspec.Struct, frozen=True):
    """One server.

    Attributes:
        visitor: that it belongs to; None for a spare.
        target: where it listens, as a route has it.
        ready: path that is asked for to see whether it answers.
        jupyter: whether it gets its token with each request.
        stripped: whether it knows nothing of the path that it is served at.
        offer: that it is of.
        called: what visitors know it by.
        landing: path below its URL that opens first.
        address: that the visitor came from, where that counts.
        handed_out: when the visitor got it, in seconds since the epoch.
        own_host: whether it is served at a host name of its own.
        walled: whether it is behind walls, where it can be reached by its process alone.
        shared: whether its own files are those of the service's environment, so that the front may send them.
        groups: folders of the control groups that it is in.
        share: what its visitor may take; None where that is not bounded.
        sleep: seconds without use after which it is put to sleep; 0 for never.
        brake: seconds of full load without its visitor after which its share is lowered; 0 for never.
        inside: path of its private directory, as it sees that itself; empty for as it is seen here.
    """

    visitor: VisitorId | None
    target: str
    ready: str
    jupyter: bool
    stripped: bool
    offer: OfferName = UNNAMED
    called: str = "server"
    landing: str = ""
    shared: bool = False
    walled: bool = False
    address: str = ""
    handed_out: float = 0.0
    own_host: bool = False
    groups: tuple[str, ...] = ()
    share: Share | None = None
    sleep: float = 0.0
    inside: str = ""
    brake: float = 0.0


def write_record(directory: Path, record: ServerRecord) -> None:
    """Write a record into the private directory of a server, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        unfinished = directory / f"{FILE}.new"
        unfinished.unlink(missing_ok=True)
        write_private(unfinished, msgspec.json.encode(record))
        unfinished.rename(directory / FILE)
    except OSError as error:
        raise OutputError(
            f"{directory / FILE} cannot be written", why=error.strerror or str(error)
        ) from error


def read_record(directory: Path) -> ServerRecord | None:
    """Return the record of a private directory; None where there is no whole one."""
    try:
        return msgspec.json.decode((directory / FILE).read_bytes(), type=ServerRecord)
    except (OSError, msgspec.MsgspecError):
        return None


async def remove_directory(directory: Path) -> None:
    """Remove the private directory of a server that has ended, and the control groups that it was in.

    Cancelling may leave them.
    """
    record = read_record(directory)
    if record is not None:
        for folder in await control_groups.remove(ours(record.groups, ServerId(directory.name))):
            log.warning("The control group %s cannot be removed", folder)
    await in_thread(partial(shutil.rmtree, directory, ignore_errors=True), name="remove a directory")
