"""Reading goes on when the last reason not to is gone."""

from __future__ import annotations

import asyncio

from moorage.proxy.gate import CONNECTING, PIPELINED, UPSTREAM_FULL, ReadGate


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.closing = False

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def is_closing(self) -> bool:
        return self.closing


def test_several_reasons() -> None:
    transport = Transport()
    gate = ReadGate(transport)
    gate.go_on(CONNECTING)
    gate.hold(CONNECTING)
    gate.hold(UPSTREAM_FULL)
    gate.hold(UPSTREAM_FULL)
    gate.go_on(CONNECTING)
    assert transport.calls == ["pause"]
    gate.go_on(UPSTREAM_FULL | PIPELINED)
    gate.go_on(UPSTREAM_FULL)
    assert transport.calls == ["pause", "resume"]


def test_a_transport_that_closes_is_left_alone() -> None:
    transport = Transport()
    transport.closing = True
    gate = ReadGate(transport)
    gate.hold(PIPELINED)
    gate.go_on(PIPELINED)
    assert transport.calls == []
