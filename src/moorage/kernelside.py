"""For authors of kernels: register the ports your kernel has bound with its launcher (JEP 66).

A launcher may give your kernel a registration file where it used to give a connection file. Then bind five
ports of your own choice, and report them::

    terms = kernelside.terms(path)          # None: an ordinary connection file, do as ever
    ports = {name: socket.bind_to_random_port(f"tcp://{terms.ip}") for name, socket in sockets.items()}
    kernelside.register(path, ports)        # acknowledged, and written into the file

Either form of file is read, and each is answered in its own dialect. It needs pyzmq and nothing else, and
it is synchronous: it runs before your kernel's loop does.

Source: JEP 66, and "Registration files" in https://jupyter-client.readthedocs.io/en/stable/kernels.html
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import assert_never

import zmq

from moorage.errors import DeadlineExceeded, MoorageError, ProtocolError, UsageError
from moorage.json_types import JsonObject
from moorage.regular import read_regular
from moorage.wire.connection import ConnectionInfo
from moorage.wire.handshake import (
    MOST_BYTES,
    Agreed,
    Event,
    Expired,
    Handshake,
    PortsBound,
    Received,
    Reject,
    Send,
    parse,
)
from moorage.wire.registration import Terms, asks_for_registration, completed

__all__ = ["ConnectionInfo", "Terms", "register", "terms"]

PATIENCE = 5.0
"""Seconds that a kernel waits for the acknowledgement, as xeus and ark do."""


def terms(connection_file: str | os.PathLike[str]) -> Terms | None:
    """Read the file a kernel was given.

    Args:
        connection_file: its path.

    Returns:
        Where to register, which key to sign with and which address to bind; None if it is an ordinary
        connection file.

    Raises:
        OSError: the file cannot be read, or is a pipe or a device.
        ProtocolError: it holds no JSON object, or asks for a registration in a way that makes no sense.
    """
    found = _read(Path(connection_file))
    return Terms.from_dict(found) if asks_for_registration(found) else None


def register(
    connection_file: str | os.PathLike[str], ports: Mapping[str, int], *, timeout: float = PATIENCE
) -> ConnectionInfo:
    """Report the ports a kernel has bound, wait for the acknowledgement, and write them into the file.

    Bind first, then register: no port is free between choosing and using it.

    Args:
        connection_file: the registration file the kernel was given. It becomes a connection file, so that
            others can attach.
        ports: ``shell_port``, ``iopub_port``, ``stdin_port``, ``control_port`` and ``hb_port``.
        timeout: seconds to wait for the acknowledgement.

    Returns:
        The kernel's addresses and key.

    Raises:
        OSError: the file cannot be read, or is a pipe or a device.
        UsageError: it is no registration file.
        ProtocolError: a port is missing or odd, the file makes no sense, or the launcher refuses.
        DeadlineExceeded: no acknowledgement came. End the kernel: no client will ever connect to it.
    """
    path = Path(connection_file)
    found = _read(path)
    if not asks_for_registration(found):
        raise UsageError(f"{path.name} is no registration file", do="Bind the ports it names")
    where = Terms.from_dict(found)
    info = where.addresses(ports)
    _register(Handshake("kernel", where, info), timeout)
    with suppress(OSError):  # the launcher knows where the kernel is; only others will not
        _write(path, completed(found, info))
    return info


def _register(handshake: Handshake, timeout: float) -> None:
    where = handshake.terms
    kind = zmq.DEALER if where.dialect == "docs" else zmq.REQ
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(kind) as socket:
        socket.linger = 0
        socket.setsockopt(zmq.MAXMSGSIZE, MOST_BYTES)
        socket.connect(where.url)
        event: Event = PortsBound(uuid.uuid4().hex)
        while not _carry_out(handshake, event, socket):
            if not socket.poll(int(timeout * 1000)):
                event = Expired()
            else:
                event = Received(parse(socket.recv_multipart()))


def _carry_out(handshake: Handshake, event: Event, socket: zmq.Socket[bytes]) -> bool:
    """Give the machine an event and do what it says; True when the kernel is registered."""
    for command in handshake.handle(event, time.time()):
        match command:
            case Send(frames):
                socket.send_multipart(frames)
            case Agreed():
                return True
            case Reject(reason, why):
                raise _refused(handshake.terms, reason, why)
            case _:
                assert_never(command)
    return False


def _refused(where: Terms, reason: str, why: str) -> MoorageError:
    if reason == "late":
        return DeadlineExceeded(
            f"no acknowledgement of the registration came from {where.url}",
            why="The launcher of the kernel has gone, or does not listen there",
        )
    return ProtocolError(f"the registration at {where.url} failed", why=why)


def _read(path: Path) -> JsonObject:
    try:
        found = json.loads(read_regular(path))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{path} holds no JSON", why=str(error)) from None
    if not isinstance(found, dict):
        raise ProtocolError(f"{path} holds no JSON object")
    return found


def _write(path: Path, content: JsonObject) -> None:
    """Replace the file in one step, readable for its user alone: it holds the key."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(content, indent=2).encode())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
