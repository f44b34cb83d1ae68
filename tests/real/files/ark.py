"""A kernel that does what ark does at its start, and evaluates Python: for lack of R and Rust.

As ark: a file with all five ports is a connection file, else it is a registration file, whose port must be a
number; REQ and a whole message; five seconds for the reply; ten more for a subscription to iopub.
"""

import argparse
import hashlib
import hmac
import json
import signal
import sys
import time
import uuid

import zmq

DELIMITER = b"<IDS|MSG>"
PORTS = ("control_port", "shell_port", "stdin_port", "iopub_port", "hb_port")


def panic(why):
    sys.exit(f"thread 'main' panicked: {why}")


class Wire:
    def __init__(self, key):
        self.key = key.encode()
        self.session = uuid.uuid4().hex

    def sign(self, *parts):
        mac = hmac.new(self.key, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode()

    def pack(self, kind, content, parent=None):
        header = {
            "msg_id": uuid.uuid4().hex,
            "session": self.session,
            "username": "kernel",
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "msg_type": kind,
            "version": "5.3",
        }
        parts = [json.dumps(part).encode() for part in (header, parent or {}, {}, content)]
        return [DELIMITER, self.sign(*parts), *parts]

    def unpack(self, frames):
        at = frames.index(DELIMITER)
        signature, parts = frames[at + 1], frames[at + 2 :]
        if self.sign(*parts) != signature:
            panic("invalid HMAC signature")
        header, parent, metadata, content = map(json.loads, parts[:4])
        for name in ("msg_id", "session", "username", "date", "msg_type", "version"):
            if not isinstance(header[name], str):
                panic(f"header.{name}")
        return frames[:at], header, content


def register(context, wire, found, ports):
    request = context.socket(zmq.REQ)
    request.linger = 0
    request.connect(f"tcp://{found['ip']}:{found['registration_port']}")
    request.send_multipart(wire.pack("handshake_request", ports))
    if not request.poll(5000):
        panic("registration: no reply within 5 s")
    _, header, content = wire.unpack(request.recv_multipart())
    if header["msg_type"] != "handshake_reply" or content["status"] != "ok":
        panic(f"registration: {content}")
    request.close()


class Kernel:
    def __init__(self, context, found):
        self.wire = Wire(found["key"])
        self.sockets = {}
        self.space = {}
        self.count = 0
        for name, kind in zip(PORTS, (zmq.ROUTER, zmq.ROUTER, zmq.ROUTER, zmq.XPUB, zmq.REP), strict=True):
            socket = self.sockets[name] = context.socket(kind)
            socket.linger = 1000
            socket.bind(f"tcp://{found['ip']}:{found.get(name, '*')}")
        self.ports = {
            name: int(socket.last_endpoint.rpartition(b":")[2]) for name, socket in self.sockets.items()
        }

    def publish(self, kind, content, parent=None):
        self.sockets["iopub_port"].send_multipart([kind.encode(), *self.wire.pack(kind, content, parent)])

    def subscribed(self):
        iopub = self.sockets["iopub_port"]
        if not iopub.poll(10_000):
            panic("no subscription to iopub within 10 s")
        iopub.recv()
        self.publish("iopub_welcome", {"subscription": ""})
        self.publish("status", {"execution_state": "starting"})

    def serve(self):
        poller = zmq.Poller()
        for socket in self.sockets.values():
            poller.register(socket, zmq.POLLIN)
        while True:
            try:
                for socket, _ in poller.poll():
                    if socket is self.sockets["hb_port"]:
                        socket.send(socket.recv())
                    elif socket is self.sockets["iopub_port"]:
                        socket.recv()
                    elif not self.answer(socket):
                        return
            except KeyboardInterrupt:
                continue

    def answer(self, socket):
        identities, header, content = self.wire.unpack(socket.recv_multipart())
        kind = header["msg_type"]
        self.publish("status", {"execution_state": "busy"}, header)
        reply = {"status": "ok"}
        if kind == "kernel_info_request":
            reply |= {"protocol_version": "5.4", "implementation": "ark", "language_info": {"name": "R"}}
        elif kind == "execute_request":
            reply |= self.execute(content["code"], header)
        frames = self.wire.pack(kind.replace("_request", "_reply"), reply, header)
        socket.send_multipart([*identities, *frames])
        self.publish("status", {"execution_state": "idle"}, header)
        return kind != "shutdown_request"

    def execute(self, code, header):
        self.count += 1
        try:
            value = eval(code, self.space)
        except KeyboardInterrupt:
            error = {"ename": "Interrupted", "evalue": "", "traceback": []}
            self.publish("error", error, header)
            return {"status": "error", "execution_count": self.count, **error}
        data = {"data": {"text/plain": repr(value)}, "metadata": {}, "execution_count": self.count}
        self.publish("execute_result", data, header)
        return {"execution_count": self.count}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connection_file", required=True)
    parser.add_argument("--session-mode")
    with open(parser.parse_args().connection_file) as file:
        found = json.load(file)
    context = zmq.Context()
    classic = all(isinstance(found.get(name), int) for name in PORTS)
    if not classic and type(found.get("registration_port")) is not int:
        panic("invalid type: expected u16")
    kernel = Kernel(context, found if classic else {"ip": found["ip"], "key": found["key"]})
    if not classic:
        register(context, kernel.wire, found, kernel.ports)
    kernel.subscribed()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kernel.serve()
    context.destroy(linger=1000)


if __name__ == "__main__":
    main()
