"""What a kernel sends, without the kernel: answers requests, and code with prepared display messages.

    python recording.py CONNECTION_FILE COUNT

Everything but the parent's header is made before; what is left for each message is one hash.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import uuid
from pathlib import Path

import zmq

connection = json.loads(Path(sys.argv[1]).read_text())
count = int(sys.argv[2])
key = connection["key"].encode()
DATE = "2026-01-01T00:00:00.000000Z"


def header(kind: str) -> dict[str, str]:
    return {
        "msg_id": uuid.uuid4().hex,
        "msg_type": kind,
        "session": "recording",
        "username": "",
        "date": DATE,
        "version": "5.3",
    }


def frames(kind: str, parent: bytes, content: object) -> list[bytes]:
    parts = [json.dumps(header(kind)).encode(), parent, b"{}", json.dumps(content).encode()]
    signature = hmac.new(key, b"".join(parts), hashlib.sha256).hexdigest().encode()
    return [b"<IDS|MSG>", signature, *parts]


context = zmq.Context()
shell, iopub, control = context.socket(zmq.ROUTER), context.socket(zmq.PUB), context.socket(zmq.ROUTER)
heartbeat = context.socket(zmq.REP)
iopub.set_hwm(0)
for name, socket in (("shell", shell), ("iopub", iopub), ("control", control), ("hb", heartbeat)):
    socket.bind(f"{connection['transport']}://{connection['ip']}-{connection[name + '_port']}")
heads = [json.dumps(header("display_data")).encode() for _ in range(count)]
bodies = [
    json.dumps({"data": {"text/plain": str(number)}, "metadata": {}, "transient": {}}).encode()
    for number in range(count)
]
INFO = {
    "status": "ok",
    "protocol_version": "5.3",
    "implementation": "recording",
    "implementation_version": "1",
    "language_info": {"name": "python", "version": "3", "mimetype": "text/x-python", "file_extension": ".py"},
    "banner": "",
}


def flood(parent: bytes) -> None:
    for head, body in zip(heads, bodies, strict=True):
        signature = hmac.new(key, head + parent + b"{}" + body, hashlib.sha256).hexdigest().encode()
        iopub.send_multipart([b"display_data", b"<IDS|MSG>", signature, head, parent, b"{}", body])


poller = zmq.Poller()
for socket in (shell, control, heartbeat):
    poller.register(socket, zmq.POLLIN)
while True:
    for socket, _ in poller.poll():
        received = socket.recv_multipart()
        if socket is heartbeat:
            socket.send_multipart(received)
            continue
        cut = received.index(b"<IDS|MSG>")
        parent = received[cut + 2]
        kind = json.loads(parent)["msg_type"]
        iopub.send_multipart([b"status", *frames("status", parent, {"execution_state": "busy"})])
        content = {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []}
        if kind == "execute_request":
            flood(parent)
        reply = INFO if kind == "kernel_info_request" else content
        socket.send_multipart([*received[:cut], *frames(kind.replace("request", "reply"), parent, reply)])
        iopub.send_multipart([b"status", *frames("status", parent, {"execution_state": "idle"})])
