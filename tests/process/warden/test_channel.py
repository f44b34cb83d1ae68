"""The warden's end of the link; malformed packets and full sockets are tried in test_warden."""

from __future__ import annotations

import array
import json
import os
import resource
import socket

import pytest

from moorage.process.warden.channel import MOST_DESCRIPTORS, PacketChannel


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, PacketChannel(theirs)


def test_packets_arrive_with_their_descriptors_and_are_not_inherited(pair):
    ours, mail = pair
    reader, writer = os.pipe()
    socket.send_fds(ours, [b"one"], [reader, writer])
    ours.send(b"two")
    (first, fds, cut), (second, none, _) = mail.receive()
    assert (first, second, none, cut) == (b"one", b"two", [], False)
    assert not any(map(os.get_inheritable, fds))
    for fd in (reader, writer, *fds):
        os.close(fd)
    assert mail.receive() == []
    assert not mail.closed


def test_what_does_not_fit_waits(pair):
    ours, mail = pair
    for n in range(3000):
        mail.send("x", n=n, padding="y" * 100)
    assert mail.waiting
    ours.setblocking(False)
    seen = []
    while len(seen) < 3000:
        seen.append(json.loads(ours.recv(1 << 16))["n"])
        mail.flush()
    assert seen == list(range(3000))


def test_the_last_packets_of_the_dead_are_read_before_the_end(pair):
    ours, mail = pair
    mail.send("never read")
    ours.send(b"last")
    ours.close()
    assert [packet for packet, _, _ in mail.receive()] == [b"last"]
    assert mail.closed
    mail.send("to nobody")
    assert mail.waiting == []


def test_too_many_descriptors_are_cut_and_said(pair):
    ours, mail = pair
    many = array.array("i", [os.open("/dev/null", os.O_RDONLY) for _ in range(60)])
    ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, many)])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(many) + 10, hard))
    try:
        [(_, fds, cut)] = mail.receive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert cut
    for fd in (*many, *fds):
        os.close(fd)


def test_as_many_descriptors_as_linux_passes_on_arrive(pair):
    ours, mail = pair
    many = array.array("i", [os.open("/dev/null", os.O_RDONLY) for _ in range(MOST_DESCRIPTORS)])
    ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, many)])
    [(_, fds, cut)] = mail.receive()
    assert (len(fds), cut) == (MOST_DESCRIPTORS, False)
    for fd in (*many, *fds):
        os.close(fd)
