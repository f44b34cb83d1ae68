"""Frames of the websocket to a kernel."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.toy_service import belonging, read_request
from moorage.load.channels import Spoken, read_frame, request
from moorage.load.steps import StepFailed

TEXTS = st.dictionaries(st.text(), st.text() | st.integers())


@given(TEXTS)
def test_what_is_sent_is_what_jupyter_server_reads(content: dict[str, Any]) -> None:
    websocket = pytest.importorskip("jupyter_server.services.kernels.connection.base")
    frame = request("shell", "execute_request", content, name="n", session="s", date="d")
    channel, parts = websocket.deserialize_msg_from_ws_v1(frame)
    assert channel == "shell"
    header, parent, metadata, said = map(json.loads, parts)
    assert (header["msg_type"], header["msg_id"], header["session"]) == ("execute_request", "n", "s")
    assert (parent, metadata, said) == ({}, {}, content)
    assert read_request(frame) == (header, content)


@given(TEXTS)
def test_what_jupyter_server_sends_is_read(content: dict[str, Any]) -> None:
    websocket = pytest.importorskip("jupyter_server.services.kernels.connection.base")
    texts = [{"msg_type": "stream"}, {"msg_id": "p"}, {}, content]
    parts = [json.dumps(each).encode() for each in texts]
    frame = websocket.serialize_msg_to_ws_v1(parts, "iopub")
    assert read_frame(frame) == Spoken("iopub", "stream", "p", content)


def test_a_message_without_parent() -> None:
    frame = belonging("", "iopub", "status", {"execution_state": "busy"})
    assert read_frame(frame) == Spoken("iopub", "status", "", {"execution_state": "busy"})


@pytest.mark.parametrize("frame", [b"", b"\1", b"\2" + bytes(7), b"\6" + bytes(60), bytes(99)])
def test_what_is_no_frame(frame: bytes) -> None:
    with pytest.raises(StepFailed, match="cannot be read"):
        read_frame(frame)
