"""What becomes of the messages of one cell."""

from __future__ import annotations

import time

import pytest

from moorage.kernel import outputs as outputs_module
from moorage.kernel.outputs import Displays, OutputArea
from moorage.wire.messages import Header, Message


def say(msg_type, **content):
    return Message("iopub", Header("id", msg_type), {}, {}, content)


def stream(text, name="stdout"):
    return say("stream", name=name, text=text)


def shown(*messages, area=None):
    area = area or OutputArea()
    for message in messages:
        area.handle(message)
    return area.outputs


def display(text, display_id=None, kind="display_data", **rest):
    transient = {} if display_id is None else {"display_id": display_id}
    return say(kind, data={"text/plain": text}, metadata={}, transient=transient, **rest)


def texts(outputs):
    return [output.get("text") or output["data"]["text/plain"] for output in outputs]


def test_pieces_of_a_stream_are_one_output():
    assert shown(stream("a"), stream("b")) == [{"output_type": "stream", "name": "stdout", "text": "ab"}]


def test_streams_keep_the_order_in_which_they_were_written():
    outputs = shown(stream("1"), stream("e", "stderr"), stream("f", "stderr"), stream("2"), stream("3"))
    told = [(output["name"], output["text"]) for output in outputs]
    assert told == [("stdout", "1"), ("stderr", "ef"), ("stdout", "23")]


def test_a_display_parts_what_is_before_it_from_what_is_after_it():
    assert texts(shown(stream("a"), display("D"), stream("b"))) == ["a", "D", "b"]


def test_looking_in_between_changes_nothing():
    area = OutputArea()
    for message in (stream("a"), display("D"), stream("b"), stream("c"), stream("x", "stderr")):
        area.handle(message)
        assert area.outputs is area.outputs
    assert texts(area.outputs) == ["a", "D", "bc", "x"]


def test_an_execute_result_has_its_count():
    (output,) = shown(display("4", kind="execute_result", execution_count=3))
    assert output == {
        "output_type": "execute_result",
        "execution_count": 3,
        "data": {"text/plain": "4"},
        "metadata": {},
    }


def test_an_error_keeps_its_traceback():
    (output,) = shown(say("error", ename="E", evalue="v", traceback=["a", "b"]))
    assert output == {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["a", "b"]}


def test_clearing_at_once_and_clearing_before_the_next():
    area = OutputArea()
    assert shown(stream("a"), say("clear_output", wait=False), area=area) == []
    assert texts(shown(stream("b"), say("clear_output", wait=True), area=area)) == ["b"]
    assert texts(shown(stream("c"), area=area)) == ["c"]
    assert texts(shown(stream("d"), area=area)) == ["cd"]


def test_waiting_to_clear_does_not_part_the_stream_it_waits_for():
    assert texts(shown(stream("a"), display("D"), say("clear_output", wait=True), display("E"))) == ["E"]


def test_an_update_changes_what_other_cells_show():
    displays = Displays()
    first, second = OutputArea(displays), OutputArea(displays)
    shown(display("old", "x"), area=first)
    shown(display("new", "x", "update_display_data"), area=second)
    assert texts(first.outputs) == ["new"]
    assert second.outputs == []


def test_showing_an_id_again_brings_older_copies_up_to_date():
    displays = Displays()
    first, second = OutputArea(displays), OutputArea(displays)
    shown(display("old", "x"), area=first)
    shown(display("new", "x"), area=second)
    assert (texts(first.outputs), texts(second.outputs)) == (["new"], ["new"])


def test_outputs_given_at_the_beginning_stay():
    area = OutputArea(outputs=[{"output_type": "stream", "name": "stdout", "text": "given"}])
    assert texts(shown(stream("more"), area=area)) == ["given", "more"]


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("10%\r50%\r100%\n", "100%\n"),
        ("a\r\nb\r\n", "a\r\nb\r\n"),
        ("kept\r", "kept\r"),
        ("kept\r\r\n", "kept\r\r\n"),
        ("one\ntwo\rTWO", "one\nTWO"),
        ("abc\x08\x08X", "aX"),
        ("\x08\x08a\n\x08b", "a\nb"),
        ("plain", "plain"),
    ],
)
def test_control_characters_as_a_terminal_shows_them(written, seen):
    assert texts(shown(stream(written))) == [seen]


def test_a_carriage_return_in_a_later_piece_overwrites_an_earlier_one():
    assert texts(shown(stream("10%"), stream("\r20%"), stream("\r30%"))) == ["30%"]


def test_long_lines_take_no_more_than_linear_time():
    text = "x" * 2_000_000 + "\ny\rz\n" + "ab\x08" * 200_000 + "\x08" * 200_000
    began = time.process_time()
    assert texts(shown(stream(text))) == ["x" * 2_000_000 + "\nz\n"]
    assert time.process_time() - began < 30


@pytest.mark.parametrize(
    "message",
    [
        say("status", execution_state="busy"),
        say("comm_msg", comm_id="x"),
        say("stream"),
        say("display_data"),
        say("display_data", data=None, metadata=None, transient=None),
        say("execute_result", data="text"),
        say("update_display_data", data={}, transient={"display_id": "never seen"}),
        say("error", traceback=None),
        say("clear_output"),
        say("execute_input", execution_count="one"),
    ],
)
def test_odd_messages_are_borne(message):
    for output in shown(message):
        assert output["output_type"] in {"stream", "display_data", "execute_result", "error"}


def test_the_execution_count_comes_from_what_the_kernel_takes_in():
    area = OutputArea()
    shown(say("execute_input", code="1", execution_count=7), area=area)
    assert area.execution_count == 7


def test_a_traceback_in_one_text_is_split_into_lines():
    (output,) = shown(say("error", ename="E", evalue="v", traceback="one\ntwo"))
    assert output["traceback"] == ["one", "two"]


@pytest.mark.parametrize("traceback", [7, True, 1.5, {"a": 1}, None, [1, None], "a\nb"])
def test_a_traceback_may_be_anything(traceback):
    area = OutputArea()
    area.handle(say("error", ename=1, evalue=None, traceback=traceback))
    assert all(isinstance(line, str) for line in area.outputs[0]["traceback"])


def test_a_bundle_is_as_the_schema_has_it():
    deep = [1]
    for _ in range(500):
        deep = [deep]
    data = {
        "text/html": None,
        "text/plain": 7,
        "text/latex": ["a", "b"],
        "image/png": {"x": 1},
        "application/json": {"a": None},
        "application/vnd.x+json": [1],
        "application/deep+json": deep,
    }
    area = OutputArea()
    area.handle(say("display_data", data=data, metadata={"deep": deep}))
    assert area.outputs[0]["data"] == {
        "text/plain": "7",
        "text/latex": "ab",
        "image/png": '{"x": 1}',
        "application/json": {"a": None},
        "application/vnd.x+json": [1],
    }
    assert area.outputs[0]["metadata"] == {}
    area.handle(say("display_data", data={"application/json": deep}))
    assert area.outputs[1]["data"] == {"text/plain": "(application/json is nested too deeply to be kept)"}


def test_what_can_be_updated_is_weighed_once_and_not_after_it_is_cleared():
    displays = Displays()
    area = OutputArea(displays)
    shown = {"data": {"text/plain": "x" * 1000}, "transient": {"display_id": "a"}}
    for _ in range(3):
        area.handle(say("display_data", **shown))
    assert 1000 <= displays.weight < 1500
    area.handle(
        say(
            "update_display_data", data={"application/json": ["x" * 100] * 100}, transient={"display_id": "a"}
        )
    )
    assert 10_000 <= displays.weight < 15_000
    area.handle(say("update_display_data", data={"text/plain": "x" * 10**6}, transient={"display_id": "b"}))
    assert displays.weight < 15_000
    area.handle(say("clear_output", wait=False))
    assert displays.weight == 0


def test_many_pieces_of_a_stream_are_one_text():
    area = OutputArea()
    for number in range(30_000):
        area.handle(say("stream", name="stdout", text=f"{number}\n"))
        if number == 20_000:
            assert area.outputs[0]["text"].endswith("20000\n")
    assert area.outputs[0]["text"] == "".join(f"{number}\n" for number in range(30_000))


def test_an_id_that_is_shown_thousands_of_times_takes_linear_time():
    area = OutputArea()
    began = time.process_time()
    for number in range(30_000):
        area.handle(display(str(number), "x"))
    assert texts(area.outputs) == ["29999"] * 30_000
    assert time.process_time() - began < 30


def test_clearing_takes_no_time_for_what_other_cells_show():
    displays = Displays()
    other, area = OutputArea(displays), OutputArea(displays)
    for number in range(30_000):
        other.handle(display(str(number), f"x{number}"))
    began = time.process_time()
    for _ in range(30_000):
        shown(display("a", "y"), say("clear_output", wait=False), area=area)
    assert time.process_time() - began < 30
    shown(display("new", "x7", "update_display_data"), area=area)
    assert texts(other.outputs)[6:9] == ["6", "new", "8"]


def test_an_update_leaves_the_message_that_was_shown_as_it_is():
    first = display("old", "x")
    shown(first, display("new", "x", "update_display_data"))
    assert first.content["data"] == {"text/plain": "old"}


def test_an_output_that_was_cleared_is_updated_no_more_and_its_id_may_come_again():
    displays = Displays()
    area = OutputArea(displays)
    shown(display("a", "x"), display("b", "x"), say("clear_output", wait=False), area=area)
    assert texts(shown(display("c", "x"), display("d", "x", "update_display_data"), area=area)) == ["d"]
    assert 0 < displays.weight < 200


def test_a_text_is_drawn_again_only_when_more_of_it_has_come(monkeypatch):
    drawn = []
    monkeypatch.setattr(outputs_module, "as_shown", lambda text: drawn.append(text) or text)
    area = OutputArea()
    area.handle(stream("a"))
    assert texts(area.outputs) == texts(area.outputs) == ["a"]
    area.handle(stream("b"))
    assert texts(area.outputs) == ["ab"]
    assert drawn == ["a", "ab"]
