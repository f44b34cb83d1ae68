"""handshake: the kernel binds what it likes and registers its ports (JEP 66).

The kernel is given a registration file. When it has registered, the file becomes the connection file, with
all five ports, so that others can attach; where the kernel is started again it becomes a registration file
once more, and the kernel will most likely have moved.
"""

from __future__ import annotations

import logging
import secrets
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from moorage.errors import LaunchError
from moorage.rendezvous.base import LOOPBACK, Way
from moorage.rendezvous.files import check_directory, read_connection_file, write_connection_file
from moorage.rendezvous.registration import shared_registrar
from moorage.rendezvous.watch import DirectoryWatch
from moorage.wire.connection import ConnectionInfo
from moorage.wire.registration import Dialect, Terms

_log = logging.getLogger("moorage.rendezvous")


class HandshakeRendezvous:
    """Addresses the kernel chooses and reports."""

    way: Way = "handshake"

    def __init__(
        self,
        directory: Path,
        key: bytes,
        kernel_name: str = "",
        *,
        dialect: Dialect = "docs",
        ip: str = LOOPBACK,
        registration_ip: str | None = None,
    ) -> None:
        """Await a kernel and write its registration file; in a running loop.

        Args:
            directory: an existing private directory, used by this kernel alone.
            key: signing key, not empty.
            kernel_name: recorded in the file for lists of running kernels.
            dialect: in which the kernel registers.
            ip: the address that the kernel shall bind.
            registration_ip: the address of this machine at which it registers; None for the same.

        Raises:
            LaunchError: no port is free to register at, or the two addresses cannot be told in this dialect.
            ProtocolError: the key is empty.
        """
        self._registration_ip = ip if registration_ip is None else registration_ip
        if dialect == "posit" and ip != self._registration_ip:
            raise LaunchError(
                "a kernel of the posit dialect cannot register there",
                why=f"It has one address, not {ip} to listen at and {registration_ip} to register at",
                do="Use --rendezvous hold, or ipc",
            )
        self.connection_file = directory / "kernel.json"
        self._key = key
        self._kernel_name = kernel_name
        self._dialect = dialect
        self._ip = ip
        self._started = False
        self._kernel_id = ""
        self._info: ConnectionInfo | None = None
        self._watch = DirectoryWatch(directory)
        self._stack = ExitStack()
        self._registrar = self._stack.enter_context(shared_registrar(self._registration_ip))
        try:
            self._await()
        except BaseException:
            self.close()
            raise

    def renew(self) -> None:
        """Await the kernel's next process; a registration of an earlier one is refused.

        Raises:
            OSError: the registration file cannot be written.
            LaunchError: its directory has gone.
        """
        check_directory(self.connection_file)
        if self._started and self.way == "handshake":
            self._await()
        self._started = True

    def answered(self) -> None:
        """Nothing is to be done: no other process is given these addresses."""

    async def addresses(self) -> ConnectionInfo:
        """Wait until the kernel has registered, or has written its ports into the file as ipykernel does."""
        async with self._watch:
            while self._info is None:
                self._info = read_connection_file(self.connection_file)
                if self._info is None:
                    await self._watch.changed()
                elif self._registrar.forget(self._kernel_id):
                    self.way = "self-bind"
        return self._info

    def close(self) -> None:
        """Await it no longer and remove the file. Idempotent."""
        self._registrar.forget(self._kernel_id)
        self._stack.close()
        self.connection_file.unlink(missing_ok=True)

    def _await(self) -> None:
        self._registrar.forget(self._kernel_id)
        self._info = None
        # Another id for every process: a message of the one before it is no registration of this one.
        self._kernel_id = secrets.token_hex(16)
        terms = Terms(
            dialect=self._dialect,
            ip=self._ip,
            registration_ip=self._registration_ip,
            registration_port=self._registrar.port,
            key=self._key,
            kernel_id=self._kernel_id,
        )
        self._registrar.expect(terms, self._registered)
        write_connection_file(self.connection_file, terms.to_dict() | {"kernel_name": self._kernel_name})

    def _registered(self, info: ConnectionInfo) -> None:
        self._info = replace(info, kernel_name=self._kernel_name)
        try:
            write_connection_file(self.connection_file, self._info.to_dict())
        except OSError as error:
            _log.warning("others cannot attach to %s: %s", self._kernel_name or "the kernel", error)
        self._watch.wake()
