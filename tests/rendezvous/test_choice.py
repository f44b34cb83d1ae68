"""Which rendezvous a kernel gets."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.errors import UsageError
from moorage.kinds import kind_of
from moorage.rendezvous import choice
from moorage.rendezvous.choice import decide, dialect_of, known_as, make, registers
from moorage.rendezvous.memory import Memory

IPYKERNEL = ("/opt/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}")
XPYTHON = ("python3.11", "-m", "xpython_launcher", "-f", "{connection_file}")
ARK = ("/opt/positron/ark", "--connection_file", "{connection_file}", "--session-mode", "notebook")
OTHER = ("/usr/bin/xfoo", "-f", "{connection_file}")


@dataclass
class Spec:
    argv: tuple[str, ...] = OTHER
    display_name: str = "Some"
    metadata: dict[str, Any] = field(default_factory=dict)
    protocol_version: str = ""
    resource_dir: Path | None = None

    @property
    def kind(self):
        return kind_of(self.argv, self.display_name)


@pytest.fixture(autouse=True)
def remembered(tmp_path, monkeypatch):
    memory = Memory(tmp_path / "handshakes.json")
    monkeypatch.setattr(choice, "memory", lambda: memory)
    return memory


@pytest.mark.skipif(sys.platform != "linux", reason="this is Linux's choice")
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (Spec(IPYKERNEL), ("ipc", "hold")),
        (
            Spec(IPYKERNEL, protocol_version="5.5"),
            ("ipc", "hold"),
        ),  # ipykernel 7.2 says so and does not register
        (Spec(IPYKERNEL, protocol_version="5.6"), ("handshake", "ipc", "hold")),
        (Spec(XPYTHON), ("handshake", "hold")),
        (Spec(("/opt/bin/xpython", "-f", "x")), ("handshake", "hold")),
        (Spec(ARK), ("handshake", "hold")),
        (Spec(display_name="Ark R Kernel"), ("handshake", "hold")),
        (Spec(), ("hold",)),
        (Spec(("x", "--like-ark")), ("hold",)),
        (Spec(()), ("hold",)),
        (Spec(protocol_version="5.6"), ("handshake", "hold")),
        (Spec(protocol_version="5.6.0"), ("handshake", "hold")),
        (Spec(protocol_version="5.10"), ("handshake", "hold")),
        (Spec(protocol_version="6"), ("handshake", "hold")),
        (Spec(protocol_version="v5.6.0-rc.1+7"), ("handshake", "hold")),
        (Spec(protocol_version="5.5.9"), ("hold",)),
        (Spec(protocol_version="five"), ("hold",)),
        (Spec(metadata={"handshake": True}), ("handshake", "hold")),
        (Spec(metadata={"handshake": "yes"}), ("hold",)),
        (Spec(XPYTHON, metadata={"handshake": False}), ("hold",)),
        (Spec(protocol_version="5.6", metadata={"handshake": False}), ("hold",)),
        (Spec(XPYTHON, metadata={"moorage": {"rendezvous": "hold"}}), ("hold",)),
        (Spec(metadata={"moorage": {"rendezvous": "handshake"}}), ("handshake",)),
        (Spec(metadata={"moorage": {"rendezvous": "auto"}}), ("hold",)),
        (Spec(metadata={"moorage": {"rendezvous": ["odd"]}}), ("hold",)),
        (Spec(metadata={"moorage": "odd"}), ("hold",)),
    ],
    ids=str,
)
def test_auto(spec, expected):
    assert decide(spec) == expected


PATH = {"moorage": {"rendezvous": "ipc"}}


@pytest.mark.skipif(sys.platform != "linux", reason="ports are held on Linux")
@pytest.mark.parametrize(
    ("spec", "given", "expected"),
    [
        (Spec(IPYKERNEL), (), ("ipc", "hold")),
        (Spec(IPYKERNEL, metadata=PATH), (), ("ipc",)),
        (Spec(IPYKERNEL), ("own network",), ("ipc",)),
        (Spec(), ("own network",), ("ipc",)),
        (Spec(ARK), ("own network",), ("ipc",)),
        (Spec(IPYKERNEL), ("another user",), ("ipc",)),
        (Spec(IPYKERNEL), ("another user", "own network"), ("ipc",)),
        (Spec(XPYTHON), ("another user",), ("hold",)),
        (Spec(metadata={"moorage": {"rendezvous": "self-bind"}}), ("another user",), ("hold",)),
        (Spec(IPYKERNEL), ("fixed addresses",), ("ipc", "hold")),
        (Spec(XPYTHON), ("fixed addresses",), ("hold",)),
        (Spec(IPYKERNEL), ("ports alone",), ("hold",)),
        (Spec(IPYKERNEL, protocol_version="5.6"), ("ports alone",), ("handshake", "hold")),
        (Spec(IPYKERNEL, protocol_version="5.6"), ("ports alone", "fixed addresses"), ("hold",)),
        (Spec(XPYTHON), ("ports alone",), ("handshake", "hold")),
        (Spec(XPYTHON), ("sockets alone",), ("ipc",)),
        (Spec(), (), ("hold",)),
    ],
    ids=str,
)
def test_what_else_bears_on_it(spec, given, expected):
    assert decide(spec, "auto", given) == expected


@pytest.mark.parametrize(
    ("condition", "way", "says"),
    [
        *(("own network", way, "with isolation") for way in ("handshake", "self-bind", "hold")),
        *(("another user", way, "for a kernel of another user") for way in ("handshake", "self-bind")),
        *(("fixed addresses", way, "with the address") for way in ("handshake", "self-bind")),
    ],
)
def test_what_is_insisted_on_and_cannot_be_is_told(condition, way, says):
    with pytest.raises(UsageError, match=f"the {way} rendezvous cannot be used {says}"):
        decide(Spec(IPYKERNEL), way, [condition])


def test_insisting_on_sockets_counts_where_ports_are_expected():
    assert decide(Spec(IPYKERNEL), "ipc", ["ports alone"]) == ("ipc",)
    assert decide(Spec(IPYKERNEL), "hold", ["sockets alone"]) == ("ipc",)


def test_what_worked_is_remembered(remembered):
    remembered.remember(known_as(Spec(XPYTHON)), "registers")
    assert decide(Spec(XPYTHON)) == ("handshake",)
    remembered.remember(known_as(Spec(XPYTHON)), "does not register")
    assert decide(Spec(XPYTHON)) == ("hold",)
    assert decide(Spec(XPYTHON), "handshake") == ("handshake",), "a required rendezvous is used"


def test_a_kernelspec_that_was_mended_is_tried_anew(remembered, tmp_path):
    file = tmp_path / "kernel.json"
    file.write_text("{}")
    spec = Spec(protocol_version="5.6", resource_dir=tmp_path)
    remembered.remember(known_as(spec), "does not register")
    assert decide(spec) == ("hold",)
    assert decide(replace(spec, metadata={"env": "corrected"})) == ("handshake", "hold")
    assert decide(replace(spec, protocol_version="5.7")) == ("handshake", "hold")
    os.utime(file, ns=(1, 1))
    assert decide(spec) == ("handshake", "hold")


@pytest.mark.parametrize(
    ("spec", "dialect"),
    [
        (Spec(XPYTHON), "docs"),
        (Spec(ARK), "posit"),
        (Spec(("C:/positron/ark.exe",)), "posit"),
        (Spec(display_name="Ark R Kernel"), "posit"),
        (Spec(metadata={"moorage": {"dialect": "posit"}}), "posit"),
        (Spec(ARK, metadata={"moorage": {"dialect": "docs"}}), "docs"),
        (Spec(ARK, metadata={"moorage": {"dialect": "latin"}}), "posit"),
    ],
    ids=str,
)
def test_the_dialect(spec, dialect):
    assert dialect_of(spec) == dialect


@pytest.mark.parametrize("way", ["ipc", "hold", "self-bind", "handshake"])
def test_what_is_insisted_on(way):
    assert decide(Spec(IPYKERNEL), way) == (way,)


@pytest.mark.parametrize(("argv", "way"), [(XPYTHON, "ipc"), (XPYTHON, "self-bind"), ((), "self-bind")])
def test_what_cannot_work_is_refused_before_anything_is_done(argv, way):
    with pytest.raises(UsageError, match=f"cannot use the {way} rendezvous"):
        decide(Spec(argv), way)


@pytest.mark.anyio
async def test_ark_is_given_its_own_form_of_file(directory):
    for spec, form in ((Spec(ARK), int), (Spec(XPYTHON), str), (None, str)):
        meeting = make("handshake", directory, b"secret", "some", spec)
        assert type(json.loads(meeting.connection_file.read_bytes())["registration_port"]) is form
        meeting.close()


@settings(deadline=None)
@given(
    st.text(max_size=20),
    st.dictionaries(st.sampled_from(["handshake", "moorage", "x"]), st.integers() | st.none()),
)
def test_any_kernelspec_gets_one(version, metadata):
    spec = Spec(protocol_version=version, metadata=metadata)
    registers(spec)
    assert decide(spec)
