"""The handshake: both ends of it joined, and what a launcher must refuse."""

from __future__ import annotations

import hashlib
import hmac
import json
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from moorage.errors import ProtocolError
from moorage.wire.connection import PORTS
from moorage.wire.handshake import (
    DELIMITER,
    MOST_BYTES,
    REMEMBERED,
    TABLE,
    Agreed,
    Expired,
    Handshake,
    PortsBound,
    Received,
    Registry,
    Reject,
    Send,
    parse,
)
from moorage.wire.registration import Terms

NOW = 1_790_000_000.0
PEER = b"\x00peer"
DIALECTS = ["docs", "posit"]
NUMBERS = dict(zip(PORTS, range(5001, 5006), strict=True))

ports = st.fixed_dictionaries({name: st.integers(1, 65535) for name in PORTS})


def terms_of(dialect="docs", name="kid", key=b"secret"):
    return Terms(dialect, "127.0.0.1", 51587, key, name)


def kernel_of(terms, numbers=NUMBERS):
    return Handshake("kernel", terms, terms.addresses(numbers))


def registry_of(*awaited):
    ids = count()
    registry = Registry(lambda: f"m{next(ids)}")
    for terms in awaited:
        registry.expect(terms)
    return registry


def asked(kernel, dialect):
    """What a ROUTER hears when the kernel asks."""
    (send,) = kernel.handle(PortsBound("q"), NOW)
    return [PEER, *([b""] if dialect == "posit" else []), *send.frames]


def signed(key, *parts):
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        mac.update(part)
    return [DELIMITER, mac.hexdigest().encode(), *parts]


def docs_request(content, key=b"secret"):
    return [PEER, *signed(key, json.dumps(content).encode())]


def posit_request(content, key=b"secret", kind="handshake_request"):
    header = {
        "msg_id": "1",
        "session": "s",
        "username": "kernel",
        "date": "",
        "msg_type": kind,
        "version": "5.3",
    }
    return [PEER, b"", *signed(key, json.dumps(header).encode(), b"{}", b"{}", json.dumps(content).encode())]


def reasons(commands):
    return [command.reason for command in commands if isinstance(command, Reject)]


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(deadline=None)
@given(numbers=ports)
def test_a_joined_pair_agrees(dialect, numbers):
    terms = terms_of(dialect)
    kernel, registry = kernel_of(terms, numbers), registry_of(terms)
    answer, agreed = registry.receive(asked(kernel, dialect), NOW)
    assert isinstance(answer, Send), "acknowledged before it is handed on"
    assert {name: getattr(agreed.info, name) for name in PORTS} == numbers
    assert (agreed.info.key, agreed.info.ip, agreed.kernel_id) == (b"secret", "127.0.0.1", "kid")
    envelope = 1 if dialect == "docs" else 2
    assert answer.frames[:envelope] == (PEER, b"")[:envelope]
    (done,) = kernel.handle(Received(parse(answer.frames[envelope:])), NOW)
    assert done == Agreed(agreed.info, "kid")
    assert kernel.state == "agreed"
    assert not any(registry.refused.values())


def test_the_docs_dialect_is_what_xeus_says_and_takes():
    terms = terms_of()
    kernel = kernel_of(terms)
    frames = asked(kernel, "docs")
    assert len(frames) == 4
    content = json.loads(frames[3])
    assert content == {**{name: str(port) for name, port in NUMBERS.items()}, "kernel_id": "kid"}
    assert frames[1:] == signed(b"secret", frames[3])
    (answer, _) = registry_of(terms).receive(frames, NOW)
    assert len(answer.frames) == 4, "xeus checks the signature of one frame"
    assert list(answer.frames[1:]) == signed(b"secret", answer.frames[3])


def test_the_posit_dialect_is_what_ark_says_and_takes():
    terms = terms_of("posit")
    frames = asked(kernel_of(terms), "posit")
    assert json.loads(frames[-1]) == NUMBERS
    assert len(frames) == 8
    (answer, _) = registry_of(terms).receive(frames, NOW)
    peer, empty, delimiter, _, header, parent, metadata, content = answer.frames
    assert (peer, empty, delimiter) == (PEER, b"", DELIMITER)
    assert list(answer.frames[2:]) == signed(b"secret", header, parent, metadata, content)
    fields = json.loads(header)
    assert fields["msg_type"] == "handshake_reply"
    assert set(fields) == {"msg_id", "session", "username", "date", "msg_type", "version"}
    assert all(isinstance(value, str) for value in fields.values())
    assert parent == frames[4], "the request's header"
    assert json.loads(content)["status"] == "ok"


def test_any_acknowledgement_will_do_in_the_docs_dialect():
    """xeus's own launcher says ACK, which is no JSON."""
    kernel = kernel_of(terms_of())
    kernel.handle(PortsBound("q"), NOW)
    assert isinstance(kernel.handle(Received(parse(signed(b"secret", b"ACK"))), NOW)[0], Agreed)


def test_kallichores_reply_with_null_metadata():
    kernel = kernel_of(terms_of("posit", ""))
    kernel.handle(PortsBound("q"), NOW)
    header = json.dumps({"msg_type": "handshake_reply"}).encode()
    reply = signed(b"secret", header, b"{}", b"null", b'{"status":"ok","capabilities":{}}')
    assert isinstance(kernel.handle(Received(parse(reply)), NOW)[0], Agreed)


def test_without_a_key_a_kernel_neither_signs_nor_checks():
    kernel = kernel_of(terms_of("posit", "", b""))
    (send,) = kernel.handle(PortsBound("q"), NOW)
    assert send.frames[1] == b""
    header = json.dumps({"msg_type": "handshake_reply"}).encode()
    reply = parse([DELIMITER, b"", header, b"{}", b"{}", b'{"status":"ok"}'])
    assert isinstance(kernel.handle(Received(reply), NOW)[0], Agreed)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_acknowledgement_signed_with_another_key_is_refused(dialect):
    mine, other = terms_of(dialect), terms_of(dialect, key=b"other")
    kernel, stranger = kernel_of(mine), kernel_of(other)
    kernel.handle(PortsBound("q"), NOW)
    answer, _ = registry_of(other).receive(asked(stranger, dialect), NOW)
    said = parse(answer.frames)
    assert reasons(kernel.handle(Received(said), NOW)) == ["bad signature"]
    assert kernel.state == "refused"
    assert kernel.handle(Received(said), NOW) == [], "once is enough"


def test_a_launcher_that_says_no():
    kernel = kernel_of(terms_of("posit"))
    kernel.handle(PortsBound("q"), NOW)
    header = json.dumps({"msg_type": "handshake_reply"}).encode()
    reply = signed(b"secret", header, b"{}", b"{}", b'{"status":"error","error":"not today"}')
    (refuse,) = kernel.handle(Received(parse(reply)), NOW)
    assert refuse.why == "not today"


def test_no_answer_comes():
    kernel = kernel_of(terms_of())
    assert kernel.handle(Expired(), NOW) == [], "nothing was asked"
    kernel.handle(PortsBound("q"), NOW)
    assert kernel.handle(PortsBound("q"), NOW) == [], "once is enough"
    assert reasons(kernel.handle(Expired(), NOW)) == ["late"]


def test_a_kernel_without_ports_and_an_unknown_scheme():
    with pytest.raises(ProtocolError, match="bound"):
        Handshake("kernel", terms_of())
    for scheme in ("hmac-rot13", "sha256", "hmac-shake_128", ""):
        with pytest.raises(ProtocolError, match="unknown"):
            Handshake("launcher", Terms("docs", "127.0.0.1", 1, b"k", "i", signature_scheme=scheme))


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "malformed"),
        ([PEER], "malformed"),
        ([PEER, DELIMITER], "malformed"),
        ([PEER, b"", b"", b"", DELIMITER, b"", b"{}"], "malformed"),
        ([PEER, DELIMITER, b"x" * (MOST_BYTES + 1), b"{}"], "malformed"),
        ([PEER, DELIMITER, *[b"{}"] * 20], "malformed"),
        (posit_request(NUMBERS, kind="kernel_info_request"), "malformed"),
        (docs_request(NUMBERS), "unknown kernel"),
        (docs_request({**NUMBERS, "kernel_id": "stranger"}), "unknown kernel"),
        (docs_request({**NUMBERS, "kernel_id": ["kid"]}), "unknown kernel"),
        (docs_request({**NUMBERS, "kernel_id": "kid"}, b"guessed"), "bad signature"),
        ([PEER, DELIMITER, b"", b'{"kernel_id": "kid"}'], "bad signature"),
        ([PEER, DELIMITER, "ä".encode(), b'{"kernel_id": "kid"}'], "bad signature"),
        (docs_request({"kernel_id": "kid"}), "malformed"),
        (docs_request({**NUMBERS, "kernel_id": "kid", "hb_port": 5000.5}), "malformed"),
        (docs_request({**NUMBERS, "kernel_id": "kid", "hb_port": True}), "malformed"),
        (docs_request({**NUMBERS, "kernel_id": "kid", "hb_port": 0}), "port out of range"),
        (docs_request({**NUMBERS, "kernel_id": "kid", "hb_port": "65536"}), "port out of range"),
        (docs_request({**NUMBERS, "kernel_id": "kid", "hb_port": -1}), "port out of range"),
    ],
)
def test_what_a_launcher_refuses_and_counts(frames, reason):
    registry = registry_of(terms_of())
    assert reasons(registry.receive(frames, NOW)) == [reason]
    assert registry.refused == {**dict.fromkeys(registry.refused, 0), reason: 1}
    *_, agreed = registry.receive(asked(kernel_of(terms_of()), "docs"), NOW)
    assert isinstance(agreed, Agreed), "the kernel that is awaited can still come"


def test_the_posit_dialect_finds_the_key_among_those_awaited():
    awaited = [terms_of("posit", f"k{n}", b"secret%d" % n) for n in range(5)]
    registry = registry_of(*awaited, terms_of("docs", "other", b"docs"))
    *_, agreed = registry.receive(posit_request(NUMBERS, b"secret3"), NOW)
    assert agreed.kernel_id == "k3"
    assert reasons(registry.receive(posit_request(NUMBERS, b"docs"), NOW)) == ["bad signature"]
    assert reasons(registry_of(terms_of()).receive(posit_request(NUMBERS), NOW)) == ["unknown kernel"]


def test_ark_gets_what_is_wrong_with_its_ports():
    registry = registry_of(terms_of("posit"))
    refuse, answer = registry.receive(posit_request({**NUMBERS, "hb_port": 0}), NOW)
    assert refuse.reason == "port out of range"
    content = json.loads(answer.frames[-1])
    assert content["status"] == "error"
    assert "hb_port" in content["error"] or "range" in content["error"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_replay_is_refused_from_any_sender_at_any_time(dialect):
    registry = registry_of(terms_of(dialect))
    frames = asked(kernel_of(terms_of(dialect)), dialect)
    assert not reasons(registry.receive(frames, NOW))
    assert reasons(registry.receive(frames, NOW)) == ["replay"]
    assert reasons(registry.receive([b"another sender", *frames[1:]], NOW)) == ["replay"]
    registry.forget("kid")
    assert reasons(registry.receive(frames, NOW)) == ["replay"]
    registry.expect(terms_of(dialect, "next process"))
    assert reasons(registry.receive(frames, NOW)) == ["replay"]


def test_a_kernel_registers_once():
    registry = registry_of(terms_of())
    registry.receive(docs_request({**NUMBERS, "kernel_id": "kid"}), NOW)
    for hb_port in (6000, 0):
        again = registry.receive(docs_request({**NUMBERS, "kernel_id": "kid", "hb_port": hb_port}), NOW)
        assert reasons(again) == ["replay"]


def test_only_so_many_replays_are_remembered():
    registry = registry_of()
    for number in range(REMEMBERED + 10):
        registry.expect(terms_of(name=str(number)))
        registry.receive(docs_request({**NUMBERS, "kernel_id": str(number)}), NOW)
        registry.forget(str(number))
    assert len(registry._accepted) == REMEMBERED


@pytest.mark.parametrize("odd", [terms_of(key=b""), terms_of(name=""), terms_of()])
def test_a_kernel_is_awaited_with_a_key_and_an_id_of_its_own(odd):
    with pytest.raises(ProtocolError):
        registry_of(terms_of()).expect(odd)


def test_no_repr_shows_ports_or_keys_that_were_sent():
    terms = terms_of()
    (send,) = kernel_of(terms).handle(PortsBound("q"), NOW)
    assert "5001" not in repr(send)
    assert "secret" not in repr(kernel_of(terms).terms)


def test_the_table_has_no_state_without_a_way_in():
    reached = set(TABLE.values()) | {"armed"}
    assert {state for _, state, _ in TABLE} <= reached


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40) | st.just(DELIMITER) | st.just(b""), max_size=12))
def test_any_frames_are_refused(frames):
    registry = registry_of(terms_of(), terms_of("posit", "p"))
    commands = registry.receive(frames, NOW)
    assert len(reasons(commands)) == 1
    assert len(commands) == 1


@settings(deadline=None)
@given(st.data())
def test_mutations_of_a_good_request_are_refused(data):
    dialect = data.draw(st.sampled_from(DIALECTS))
    terms = terms_of(dialect)
    frames = asked(kernel_of(terms), dialect)
    where = data.draw(st.integers(1, len(frames) - 1))
    what = data.draw(st.sampled_from(["flip", "cut", "drop", "double", "grow"]))
    frame = frames[where]
    if what == "drop":
        del frames[where]
    elif what == "double":
        frames.insert(where, frame)
    elif what == "grow":
        frames[where] = frame + data.draw(st.binary(min_size=1, max_size=8))
    elif frame:
        at = data.draw(st.integers(0, len(frame) - 1))
        bit = 1 << data.draw(st.integers(0, 7))
        frames[where] = frame[:at] + (bytes([frame[at] ^ bit]) + frame[at + 1 :] if what == "flip" else b"")
    commands = registry_of(terms).receive(frames, NOW)
    agreed = [command for command in commands if isinstance(command, Agreed)]
    # REQ's empty frame and its number are the envelope, which is not signed.
    assert not agreed or (dialect == "posit" and where == 1)


class Pair(RuleBasedStateMachine):
    """A launcher and a kernel between which messages are lost, doubled and late."""

    def __init__(self):
        super().__init__()
        self.terms = terms_of()
        self.kernel = kernel_of(self.terms)
        self.registry = registry_of(self.terms)
        self.to_launcher = []
        self.to_kernel = []
        self.agreed = []

    @rule()
    def ask(self):
        self.to_launcher += [
            [PEER, *command.frames]
            for command in self.kernel.handle(PortsBound("q"), NOW)
            if isinstance(command, Send)
        ]

    @rule(keep=st.booleans())
    def launcher_hears(self, keep):
        if self.to_launcher:
            frames = self.to_launcher[-1] if keep else self.to_launcher.pop()
            for command in self.registry.receive(frames, NOW):
                if isinstance(command, Send):
                    self.to_kernel.append(command.frames[1:])
                elif isinstance(command, Agreed):
                    self.agreed.append(command)

    @rule(keep=st.booleans())
    def kernel_hears(self, keep):
        if self.to_kernel:
            frames = self.to_kernel[-1] if keep else self.to_kernel.pop()
            self.kernel.handle(Received(parse(frames)), NOW)

    @rule()
    def expire(self):
        self.kernel.handle(Expired(), NOW)

    @invariant()
    def the_kernel_never_agrees_alone_and_the_launcher_once(self):
        assert len(self.agreed) <= 1
        if self.kernel.state == "agreed":
            assert self.agreed[0].info == self.terms.addresses(NUMBERS)


TestPair = Pair.TestCase
TestPair.settings = settings(deadline=None)
