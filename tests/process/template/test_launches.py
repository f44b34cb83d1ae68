"""Packets in the socket of a template."""

from __future__ import annotations

import os
import socket

from moorage.process.template import launches


def test_descriptors_come_with_their_packet():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        assert launches.waiting(theirs) == 0
        socket.send_fds(ours, [b"fork"], [0, 1])
        assert launches.waiting(theirs) == 1
        packet, fds = launches.receive(theirs)
        assert (packet, len(fds)) == (b"fork", 2)
        for fd in fds:
            os.close(fd)
        assert not launches.over(theirs)
        ours.close()
        assert launches.over(theirs)


def test_whether_there_is_something_to_read():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        assert not launches.readable(theirs, 0)
        ours.send(b"fork")
        assert launches.readable(theirs, -1)
