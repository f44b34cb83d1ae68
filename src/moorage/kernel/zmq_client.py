"""Clients that reach a kernel by ZeroMQ, at the addresses of its connection file."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from moorage.kernel.client import Client
from moorage.kernel.zmq_transport import ZmqTransport
from moorage.wire.codec import Signer
from moorage.wire.connection import ConnectionInfo
from moorage.wire.session import Session


class ZmqClient(NamedTuple):
    """A client, and what it speaks through.

    Attributes:
        client: not entered yet.
        transport: its own; where it connects can be changed.
        session_id: names the client to the kernel.
    """

    client: Client
    transport: ZmqTransport
    session_id: str


def zmq_client(info: ConnectionInfo, *, after_heartbeat: bool = False) -> ZmqClient:
    """Make a client; nothing is opened before ``async with``.

    Args:
        info: the kernel's addresses and key.
        after_heartbeat: for a kernel that is just being started, see :class:`moorage.kinds.Kind`.
    """
    session_id = secrets.token_hex(8)
    signer = Signer(info.key, info.signature_scheme)
    # The routing id is the same on shell and stdin, so that the kernel's input requests find their way.
    transport = ZmqTransport(info, session_id.encode(), after_heartbeat=after_heartbeat)
    session = Session(signer, session_id, lambda: secrets.token_hex(16))
    return ZmqClient(Client(transport, session), transport, session_id)
