from __future__ import annotations

import pytest

from moorage.wire import messages
from moorage.wire.messages import Header, Message

HEADER = Header("id-1", "stream")


def test_a_message_knows_its_type_and_its_parent():
    message = Message("iopub", HEADER, {"msg_id": "id-0", "session": "s"})
    assert message.msg_type == "stream"
    assert message.parent_id == "id-0"


@pytest.mark.parametrize("parent", [{}, {"msg_id": None}, {"msg_id": 7}, {"session": "s"}])
def test_without_a_parent_the_parent_id_is_empty(parent):
    assert Message("iopub", HEADER, parent).parent_id == ""


def test_a_password_on_its_way_is_not_in_the_repr():
    _, content = messages.input_reply("hunter2")
    message = Message("stdin", Header("id-2", "input_reply"), {"msg_id": "id-1"}, {}, content)
    assert repr(message) == "<Message stdin input_reply id-2 for id-1>"


def test_messages_do_not_share_their_empty_parts():
    first, second = Message("shell", HEADER), Message("shell", HEADER)
    first.content["a"] = 1
    assert second.content == {}


def test_execute_request_says_all_that_the_protocol_asks():
    assert messages.execute_request("1", user_expressions={"x": "y"}, allow_stdin=True) == (
        "execute_request",
        {
            "code": "1",
            "silent": False,
            "store_history": True,
            "user_expressions": {"x": "y"},
            "allow_stdin": True,
            "stop_on_error": True,
        },
    )


def test_silent_execution_stores_no_history():
    assert messages.execute_request("1", silent=True)[1]["store_history"] is False


def test_the_smaller_requests():
    assert messages.kernel_info_request() == ("kernel_info_request", {})
    assert messages.interrupt_request() == ("interrupt_request", {})
    assert messages.shutdown_request(restart=True) == ("shutdown_request", {"restart": True})
    assert messages.complete_request("pri", 3) == ("complete_request", {"code": "pri", "cursor_pos": 3})
    assert messages.inspect_request("f", 1, detail_level=1)[1]["detail_level"] == 1
    assert messages.is_complete_request("if x:") == ("is_complete_request", {"code": "if x:"})
    assert messages.history_request(5)[1] == {
        "hist_access_type": "tail",
        "n": 5,
        "output": False,
        "raw": True,
    }
    assert messages.comm_info_request() == ("comm_info_request", {})
    assert messages.comm_info_request("jupyter.widget")[1] == {"target_name": "jupyter.widget"}
    assert messages.input_reply("x") == ("input_reply", {"status": "ok", "value": "x"})
