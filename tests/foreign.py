"""Launchers that are not moorage, spoken by hand: xeus's client library and Posit's kallichore.

Each follows its own source: sockets, file, what it checks and what it answers.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import zmq

DELIMITER = b"<IDS|MSG>"
PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


class _Foreign:
    """One launcher with one registration socket."""

    kind: int

    def __init__(self) -> None:
        self.key = secrets.token_hex(16).encode()
        self._context = zmq.Context()
        self.socket = self._context.socket(self.kind)
        self.socket.linger = 1000
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")

    def __enter__(self):
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()
        self._context.term()

    def heard(self, seconds: float = 0.1) -> bool:
        return bool(self.socket.poll(int(seconds * 1000)))

    def _hear(self, seconds: float) -> list[bytes]:
        assert self.heard(seconds), "no registration came"
        return self.socket.recv_multipart()

    def _sign(self, *parts: bytes, key: bytes | None = None) -> bytes:
        mac = hmac.new(self.key if key is None else key, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode()


class XeusLauncher(_Foreign):
    """A ROUTER; one signed frame each way; string ports; the acknowledgement is ``ACK``."""

    kind = zmq.ROUTER

    def file(self) -> dict[str, Any]:
        return {
            "transport": "tcp",
            "ip": "127.0.0.1",
            "signature_scheme": "hmac-sha256",
            "key": self.key.decode(),
            "kernel_id": "a kernel of xeus's",
            "registration_ip": "127.0.0.1",
            "registration_port": str(self.port),
        }

    def registered(self, seconds: float = 20, answer: str = "ok") -> dict[str, int]:
        identity, delimiter, signature, content = self._hear(seconds)
        assert delimiter == DELIMITER
        assert signature == self._sign(content)
        found = json.loads(content)
        assert found.pop("kernel_id") == "a kernel of xeus's"
        assert all(isinstance(port, str) for port in found.values())
        key = b"another" if answer == "wrong key" else None
        reply = [DELIMITER, self._sign(b"ACK", key=key), b"ACK"] if answer != "rubbish" else [b"what?"]
        self.socket.send_multipart([identity, *reply])
        return {name: int(port) for name, port in found.items()}


class Kallichore(_Foreign):
    """A REP; a whole Jupyter message each way; ports are numbers; metadata of the reply is null."""

    kind = zmq.REP

    def file(self) -> dict[str, Any]:
        return {
            "transport": "tcp",
            "signature_scheme": "hmac-sha256",
            "ip": "127.0.0.1",
            "key": self.key.decode(),
            "registration_port": self.port,
        }

    def registered(self, seconds: float = 20, answer: str = "ok") -> dict[str, int]:
        delimiter, signature, *parts = self._hear(seconds)
        assert delimiter == DELIMITER
        assert signature == self._sign(*parts)
        header, parent, metadata, content = map(json.loads, parts)
        assert header["msg_type"] == "handshake_request"
        assert {"msg_id", "session", "username", "date", "version"} < set(header)
        assert (parent, metadata) == ({}, {})
        own = {**header, "msg_type": "handshake_reply", "username": "kallichore"}
        status = (
            {"status": "error", "error": "no"} if answer == "error" else {"status": "ok", "capabilities": {}}
        )
        reply = [
            json.dumps(part).encode() for part in (own, {**header, "username": "kallichore"}, None, status)
        ]
        key = b"another" if answer == "wrong key" else None
        frames = [DELIMITER, self._sign(*reply, key=key), *reply] if answer != "rubbish" else [b"{}"]
        self.socket.send_multipart(frames)
        assert all(isinstance(content[name], int) for name in PORTS)
        return content


class Run:
    """Runs code in a kernel by jupyter_client, and returns what it printed."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __call__(self, code: str, seconds: float = 60) -> str:
        printed: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            printed.append(content.get("text") or content.get("ename") or "")

        self.client.execute_interactive(code, timeout=seconds, output_hook=take)
        return "".join(printed)

    def shutdown(self, seconds: float = 60) -> None:
        """Have the kernel end itself; wait for its answer, as a closed channel drops what it has not sent."""
        self.client.shutdown(reply=True, timeout=seconds)


@contextmanager
def session(ports: dict[str, int], key: bytes, seconds: float = 60) -> Iterator[Run]:
    """Speak to a kernel that has registered, as somebody else's client would."""
    from jupyter_client.blocking.client import BlockingKernelClient

    client = BlockingKernelClient()
    client.load_connection_info({**ports, "key": key, "ip": "127.0.0.1", "transport": "tcp"})
    # Without its heartbeat, which a busy machine lets miss a beat: the client takes that for a death.
    client.start_channels(hb=False)
    try:
        for _ in range(100):
            client.kernel_info()
            client.get_shell_msg(timeout=seconds)
            with suppress(queue.Empty):
                client.get_iopub_msg(timeout=1)
                break
        yield Run(client)
    finally:
        client.stop_channels()
