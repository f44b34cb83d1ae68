"""The bare kernel's own start: ipykernel spawned by hand, until it has answered and run one cell.

    python bare_kernel.py

Prints the seconds from fork to the kernel_info_reply and to the end of a cell. Unix sockets and a plain
DEALER, connected before the kernel listens: nothing is faster than this without another kernel.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import zmq

from moorage.wire import messages
from moorage.wire.codec import Signer
from moorage.wire.session import Session

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "kernel.json"
    ports = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}
    ways = {"transport": "ipc", "ip": f"{folder}/k", "key": "key", "signature_scheme": "hmac-sha256"}
    file.write_text(json.dumps({**ways, **ports}))
    session = Session(Signer(b"key", "hmac-sha256"), "bare", lambda: uuid.uuid4().hex)
    context = zmq.Context()
    shell = context.socket(zmq.DEALER)
    shell.setsockopt(zmq.RECONNECT_IVL, 2)
    shell.connect(f"ipc://{folder}/k-1")

    def ask(request: messages.Request) -> float:
        kind, content = request
        message = session.request("shell", kind, content, date="2026-01-01T00:00:00+00:00")
        shell.send_multipart(session.pack(message))
        while session.receive("shell", shell.recv_multipart()).parent_id != message.header.msg_id:
            pass
        return time.perf_counter() - began

    began = time.perf_counter()
    kernel = subprocess.Popen(
        [sys.executable, "-m", "ipykernel_launcher", "-f", str(file), "--HistoryManager.hist_file=:memory:"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        answered = ask(messages.kernel_info_request())
        ran = ask(messages.execute_request("print(6 * 7)"))
    finally:
        kernel.terminate()
        kernel.wait()
        context.destroy(linger=0)
print(json.dumps({"answered": answered, "ran": ran}))
