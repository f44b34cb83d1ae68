"""Where a kernel listens: the record behind a Jupyter connection file.

Source: https://jupyter-client.readthedocs.io/en/stable/kernels.html#connection-files
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from moorage.errors import ProtocolError
from moorage.json_types import JsonMapping, JsonObject

Socket = Literal["shell", "iopub", "stdin", "control", "hb"]
Transport = Literal["tcp", "ipc"]

SOCKETS: tuple[Socket, ...] = ("shell", "iopub", "stdin", "control", "hb")
PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
CURVE_KEYS = ("curve_publickey", "curve_secretkey")

_Z85_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")


class Endpoint(NamedTuple):
    """Where one socket listens.

    Attributes:
        transport: ``tcp``, or ``ipc`` for a Unix socket.
        ip: the address; for ipc the path that ``-PORT`` is added to.
        port: 1 to 65535; for ipc any number, 0 for the path as it is.
    """

    transport: Transport
    ip: str
    port: int

    @property
    def path(self) -> str:
        """The path of the Unix socket."""
        return f"{self.ip}-{self.port}" if self.port else self.ip

    @property
    def url(self) -> str:
        """The same as ZeroMQ spells it."""
        if self.transport == "ipc":
            return f"ipc://{self.path}"
        literal = f"[{self.ip}]" if ":" in self.ip and not self.ip.startswith("[") else self.ip
        return f"tcp://{literal}:{self.port}"


@dataclass(frozen=True)
class ConnectionInfo:
    """The addresses and the key of one kernel.

    Attributes:
        transport: ``tcp``, or ``ipc`` for Unix sockets.
        ip: the address to connect to; for ipc the path that ``-PORT`` is added to.
        shell_port, iopub_port, stdin_port, control_port, hb_port: 1 to 65535, for ipc any positive number.
        key: the secret messages are signed with; empty for none. Never shown.
        signature_scheme: how they are signed.
        kernel_name: the kernelspec it was started from, where known.
        curve_publickey: the kernel's CurveZMQ key, 40 letters of Z85; empty where nothing is encrypted.
        curve_secretkey: the other half, which jupyter_client's clients use as their own; empty for one made
            anew. Never shown.
    """

    transport: Transport
    ip: str
    shell_port: int
    iopub_port: int
    stdin_port: int
    control_port: int
    hb_port: int
    key: bytes = field(repr=False)
    signature_scheme: str = "hmac-sha256"
    kernel_name: str = ""
    curve_publickey: str = ""
    curve_secretkey: str = field(default="", repr=False)

    @classmethod
    def from_dict(cls, found: JsonMapping) -> ConnectionInfo:
        """Read a connection file's object, which may spell ports as strings and leave out what has a default.

        Args:
            found: the object; keys that are not of a connection are ignored.

        Raises:
            ProtocolError: naming what is missing or odd.
        """
        transport = _transport(found.get("transport"))
        ip = _text(found, "ip", "127.0.0.1" if transport == "tcp" else "")
        if not ip:
            raise _odd("ip", "ipc needs a path")
        return cls(
            transport=transport,
            ip=ip,
            key=_key(found.get("key")),
            signature_scheme=_text(found, "signature_scheme", "hmac-sha256"),
            kernel_name=_text(found, "kernel_name", ""),
            **_curve_keys(found),  # type: ignore[arg-type]  # all are texts
            **{name: _checked_port(found, name, transport) for name in PORTS},  # type: ignore[arg-type]  # ports
        )

    def to_dict(self) -> JsonObject:
        """Return the JSON-ready object of a connection file.

        It holds the keys: write it where only its user can read.
        """
        curve = {name: value for name in CURVE_KEYS if (value := getattr(self, name))}
        return {
            **{name: getattr(self, name) for name in PORTS},
            "ip": self.ip,
            "key": self.key.decode("utf-8", "surrogateescape"),
            "transport": self.transport,
            "signature_scheme": self.signature_scheme,
            "kernel_name": self.kernel_name,
            **curve,
        }

    def url(self, channel: Socket) -> str:
        """Return where ``channel`` (``hb``: the heartbeat) listens, as ZeroMQ spells it."""
        return self.endpoint(channel).url

    def endpoint(self, channel: Socket) -> Endpoint:
        """Return where ``channel`` (``hb``: the heartbeat) listens."""
        return Endpoint(self.transport, self.ip, getattr(self, f"{channel}_port"))

    def moved(self, endpoints: Mapping[Socket, Endpoint]) -> ConnectionInfo:
        """Return the record of the same kernel at other addresses.

        Args:
            endpoints: one for each of :data:`SOCKETS`.

        Raises:
            ProtocolError: they lie at several addresses, which no connection file can tell.
        """
        found = {(each.transport, each.ip) for each in endpoints.values()}
        if len(found) != 1:
            raise ProtocolError("A kernel's five sockets have to lie at one address")
        transport, ip = found.pop()
        return replace(
            self,
            transport=transport,
            ip=ip,
            shell_port=endpoints["shell"].port,
            iopub_port=endpoints["iopub"].port,
            stdin_port=endpoints["stdin"].port,
            control_port=endpoints["control"].port,
            hb_port=endpoints["hb"].port,
        )


def is_complete(found: JsonMapping) -> bool:
    """Tell whether all five ports are there and none is 0, as when a kernel has yet to choose them."""
    return all((port_number(found.get(name)) or 0) > 0 for name in PORTS)


def port_number(value: object) -> int | None:
    """Return a port that is a number or a string of digits; None for everything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        return int(value)
    return None


def _checked_port(found: JsonMapping, name: str, transport: str) -> int:
    port = port_number(found.get(name))
    if port is None:
        raise _odd(name, "it is missing" if name not in found else "it is no port number")
    if port < 1 or (transport == "tcp" and port > 65535):
        raise _odd(name, f"{port} is out of range")
    return port


def _transport(value: object) -> Transport:
    if value is None or value in ("", "tcp"):
        return "tcp"
    if value == "ipc":
        return "ipc"
    raise _odd("transport", "it is neither tcp nor ipc")


def _text(found: JsonMapping, name: str, default: str) -> str:
    value = found.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        raise _odd(name, "it is no string")
    return value


def _key(value: object) -> bytes:
    # jupyter_client's dicts hold bytes where its files hold text.
    if isinstance(value, bytes):
        return value
    if value is None:
        return b""
    if not isinstance(value, str):
        raise _odd("key", "it is no string")
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise _odd("key", "it is no text") from None


def _curve_keys(found: JsonMapping) -> dict[str, str]:
    """Return the keys of an encrypted kernel, empty for any other.

    Source: RFC 26, and connect.py of jupyter_client 8.9, which writes both halves.
    """
    keys = {}
    for name in CURVE_KEYS:
        value = found.get(name)
        text = value.decode("ascii", "replace") if isinstance(value, bytes) else _text(found, name, "")
        if text and not _Z85_KEY.fullmatch(text):
            raise _odd(name, "it is no CurveZMQ key")
        keys[name] = text
    if keys["curve_secretkey"] and not keys["curve_publickey"]:
        raise _odd("curve_publickey", "it is missing, and the other half is there")
    return keys


def _odd(name: str, why: str) -> ProtocolError:
    return ProtocolError(f"The connection file's {name} cannot be used", why=why.capitalize())
