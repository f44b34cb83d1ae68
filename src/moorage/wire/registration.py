"""The record behind a registration file: what launcher and kernel know before they connect.

It takes the place of a connection file, without ports. Three forms are read: that of the documentation
(protocol 5.6, with ``registration_ip`` and ``kernel_id``), ark's (one ``ip``, and a number for a port), and
``handshake_port``, an old name for ``registration_port``. Two are written, because no one file suits both
xeus, which wants the port as a string, and ark, which wants a number.

Source: "Registration files", https://jupyter-client.readthedocs.io/en/stable/kernels.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from moorage.errors import ProtocolError
from moorage.json_types import JsonMapping, JsonObject
from moorage.wire.connection import ConnectionInfo, is_complete, port_number

Dialect = Literal["docs", "posit"]

_NAMES = ("registration_port", "handshake_port")
_OF_REGISTRATION = frozenset({*_NAMES, "registration_ip"})


@dataclass(frozen=True)
class Terms:
    """Where a kernel is to register, and with which secret.

    Attributes:
        dialect: how it is to be said.
        registration_ip, registration_port: where the launcher listens.
        key: the secret that registration and messages are signed with. Never shown.
        kernel_id: names the kernel in the docs dialect.
        ip: the address the kernel shall bind.
        signature_scheme: how things are signed.
    """

    dialect: Dialect
    registration_ip: str
    registration_port: int
    key: bytes = field(repr=False)
    kernel_id: str = ""
    ip: str = "127.0.0.1"
    signature_scheme: str = "hmac-sha256"

    @classmethod
    def from_dict(cls, found: JsonMapping) -> Terms:
        """Read a registration file's object.

        Raises:
            ProtocolError: naming what is missing or odd.
        """
        port = next((port_number(found[name]) for name in _NAMES if name in found), None)
        if port is None or not 0 < port < 65536:
            raise ProtocolError("The registration file names no port that can be used", do="Write it anew")
        if found.get("transport") not in (None, "", "tcp"):
            raise ProtocolError("A registration can go over tcp only")
        kernel_id, registration_ip = _text(found, "kernel_id"), _text(found, "registration_ip")
        ip = _text(found, "ip") or registration_ip or "127.0.0.1"
        try:
            key = _text(found, "key").encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise ProtocolError("The registration file's key is no text") from None
        return cls(
            dialect="docs" if kernel_id or registration_ip else "posit",
            registration_ip=registration_ip or ip,
            registration_port=port,
            key=key,
            kernel_id=kernel_id,
            ip=ip,
            signature_scheme=_text(found, "signature_scheme") or "hmac-sha256",
        )

    def to_dict(self) -> JsonObject:
        """Return the JSON-ready object of a registration file in this dialect.

        It holds the key: write it where only its user can read.
        """
        common = {
            "transport": "tcp",
            "ip": self.ip,
            "key": self.key.decode("utf-8", "surrogateescape"),
            "signature_scheme": self.signature_scheme,
        }
        if self.dialect == "posit":
            # ark has one ip for both, and takes no string for a port.
            return {**common, "registration_port": self.registration_port}
        # xeus takes no number for a port, and requires every one of these.
        return {
            **common,
            "kernel_id": self.kernel_id,
            "registration_ip": self.registration_ip,
            "registration_port": str(self.registration_port),
        }

    @property
    def url(self) -> str:
        """Where the launcher listens, as ZeroMQ spells it."""
        ip = self.registration_ip
        return f"tcp://{f'[{ip}]' if ':' in ip and not ip.startswith('[') else ip}:{self.registration_port}"

    def addresses(self, ports: JsonMapping) -> ConnectionInfo:
        """Return the addresses of a kernel that has bound ``ports`` (numbers, or strings of digits).

        Raises:
            ProtocolError: one of the five is missing, odd or out of range.
        """
        common = {"ip": self.ip, "transport": "tcp", "signature_scheme": self.signature_scheme}
        return ConnectionInfo.from_dict({**ports, **common, "key": self.key, "kernel_name": ""})


def asks_for_registration(found: JsonMapping) -> bool:
    """Tell a registration file's object from a connection file's: it names where, and no five ports."""
    return any(found.get(name) for name in _NAMES) and not is_complete(found)


def completed(found: JsonMapping, info: ConnectionInfo) -> JsonObject:
    """Return the object of the connection file that takes a registration file's place.

    What the launcher wrote beside (a session's name, the kernelspec's) stays.
    """
    rest = {name: value for name, value in found.items() if name not in _OF_REGISTRATION}
    mine = info.to_dict()
    return {**mine, **rest, **{name: mine[name] for name in mine if name.endswith("_port")}}


def _text(found: JsonMapping, name: str) -> str:
    value = found.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProtocolError(f"The registration file's {name} is no string")
    return value
