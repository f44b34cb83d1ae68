"""Sockets that listen."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from moorage.errors import UsageError
from moorage.proxy.listening import bind, bind_unix, remove_socket_file


def test_an_address() -> None:
    (bound,) = bind("127.0.0.1", 0)
    with bound:
        assert bound.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        bound.listen()
        with pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1:\d+ .*in use"):
            bind("127.0.0.1", bound.getsockname()[1])


def test_every_interface_has_one_port() -> None:
    bound = bind("", 0)
    ports = {each.getsockname()[1] for each in bound}
    for each in bound:
        each.close()
    assert len(ports) == 1


def test_what_is_no_address() -> None:
    with pytest.raises(UsageError, match="is no address to listen on"):
        bind("no.such.host.invalid", 0)


def test_a_socket_file_that_is_left_over_is_replaced_and_others_are_not(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with bind_unix(path) as bound:
        bound.listen()
        with pytest.raises(UsageError, match="cannot listen on"):
            bind_unix(path)
    with bind_unix(path):
        pass
    remove_socket_file(path)
    remove_socket_file(path)
    Path(path).write_text("precious")
    with pytest.raises(UsageError, match="cannot listen on"):
        bind_unix(path)
    assert Path(path).read_text() == "precious"
