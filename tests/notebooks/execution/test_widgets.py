"""Widget models followed through their messages."""

from __future__ import annotations

from moorage.notebooks.execution.widgets import MIMETYPE, Widgets
from moorage.wire.messages import Header, Message


def say(msg_type, content, parent="", buffers=()):
    return Message("iopub", Header("id", msg_type), {"msg_id": parent}, {}, content, buffers)


def opened(comm_id="a", target="jupyter.widget", *, buffer_paths=(), buffers=(), **state):
    data = {"state": state, "buffer_paths": list(buffer_paths)}
    return say("comm_open", {"comm_id": comm_id, "target_name": target, "data": data}, buffers=buffers)


def update(comm_id="a", method="update", **state):
    return say("comm_msg", {"comm_id": comm_id, "data": {"method": method, "state": state}})


def output_widget(comm_id="o"):
    return opened(comm_id, _model_module="@jupyter-widgets/output", _model_name="OutputModel", msg_id="")


def stream(text, parent):
    return say("stream", {"name": "stdout", "text": text}, parent)


def models(widgets):
    return widgets.metadata()[MIMETYPE]["state"]


def test_no_widgets_no_metadata():
    widgets = Widgets()
    widgets.handle(opened(target="something.else", x=1))
    widgets.handle(update("never opened", x=1))
    assert widgets.metadata() is None


def test_states_are_followed():
    widgets = Widgets()
    widgets.handle(opened(_model_name="M", _model_module="mod", _model_module_version="2", value=1))
    widgets.handle(update(value=2))
    widgets.handle(update(method="custom"))
    assert widgets.metadata()[MIMETYPE]["version_major"] == 2
    assert models(widgets)["a"] == {
        "model_name": "M",
        "model_module": "mod",
        "model_module_version": "2",
        "state": {"_model_name": "M", "_model_module": "mod", "_model_module_version": "2", "value": 2},
    }


def test_echoes_of_our_own_updates_change_nothing():
    widgets = Widgets()
    widgets.handle(opened(value=1))
    widgets.handle(update(method="echo_update", value=5))
    assert models(widgets)["a"]["state"]["value"] == 1


def test_buffers_are_kept_by_their_path_the_newest_each():
    widgets = Widgets()
    widgets.handle(opened(buffer_paths=[["x"], ["y", 0]], buffers=(b"1", memoryview(b"2"))))
    again = {"state": {}, "buffer_paths": [["x"]]}
    widgets.handle(say("comm_msg", {"comm_id": "a", "data": again}, buffers=(b"3",)))
    kept = {tuple(each["path"]): each["data"] for each in models(widgets)["a"]["buffers"]}
    assert kept == {("x",): "Mw==", ("y", 0): "Mg=="}


def test_odd_messages_are_borne():
    widgets = Widgets()
    for content in (
        {},
        {"comm_id": 3, "data": {}},
        {"comm_id": "a", "data": None},
        {"comm_id": "a", "target_name": "jupyter.widget", "data": {"state": None}},
        {"comm_id": "a", "data": {"state": {}, "buffer_paths": "no"}},
        {"comm_id": "a", "data": {"state": {}, "buffer_paths": [["x", []], "y", [{}]]}},
        {"comm_id": "a", "data": {"state": {"outputs": 5}}},
    ):
        for kind in ("comm_open", "comm_msg", "comm_close"):
            widgets.handle(say(kind, content, buffers=(b"1", b"2", b"3")))


def test_a_capture_takes_what_it_aims_at_and_nothing_else():
    widgets = Widgets()
    widgets.handle(output_widget())
    assert not widgets.capture(stream("before", "cell"))
    widgets.handle(update("o", msg_id="cell"))
    assert widgets.capture(stream("in", "cell"))
    assert not widgets.capture(stream("another's", "other"))
    widgets.handle(update("o", msg_id=""))
    assert not widgets.capture(stream("after", "cell"))
    assert models(widgets)["o"]["state"]["outputs"] == [
        {"output_type": "stream", "name": "stdout", "text": "in"}
    ]


def test_the_innermost_of_nested_captures_takes_it():
    widgets = Widgets()
    widgets.handle(output_widget("outer"))
    widgets.handle(output_widget("inner"))
    widgets.handle(update("outer", msg_id="cell"))
    widgets.handle(update("inner", msg_id="cell"))
    widgets.capture(stream("inner", "cell"))
    widgets.handle(update("inner", msg_id=""))
    widgets.capture(stream("outer", "cell"))
    states = models(widgets)
    assert states["inner"]["state"]["outputs"][0]["text"] == "inner"
    assert states["outer"]["state"]["outputs"][0]["text"] == "outer"


def test_the_kernel_is_told_once_however_much_was_captured():
    widgets = Widgets()
    widgets.handle(output_widget())
    widgets.handle(update("o", msg_id="cell"))
    for number in range(1000):
        widgets.capture(stream(f"{number}\n", "cell"))
    ((kind, content),) = widgets.updates()
    assert (kind, content["comm_id"], content["data"]["method"]) == ("comm_msg", "o", "update")
    assert content["data"]["state"]["outputs"][0]["text"].count("\n") == 1000
    assert widgets.updates() == []


def test_what_the_kernel_puts_into_the_widget_itself_is_kept():
    widgets = Widgets()
    widgets.handle(output_widget())
    widgets.handle(update("o", outputs=[{"output_type": "stream", "name": "stdout", "text": "given\n"}]))
    widgets.handle(update("o", msg_id="cell"))
    widgets.capture(stream("captured", "cell"))
    texts = [output["text"] for output in models(widgets)["o"]["state"]["outputs"]]
    assert texts == ["given\n", "captured"]


def test_what_widgets_keep_is_weighed():
    widgets = Widgets()
    widgets.handle(opened("a", value="x" * 1000))
    assert 1000 <= widgets.weight < 1500
    for _ in range(5):
        widgets.handle(update("a", value=["x" * 10] * 1000))
    assert 10_000 <= widgets.weight < 50_000
    widgets.handle(opened("b", buffer_paths=[["value"]], buffers=[b"x" * 10**6]))
    assert 10**6 <= widgets.weight < 1.5 * 10**6


def test_a_state_that_is_nested_too_deeply_is_not_kept():
    deep = [1]
    for _ in range(500):
        deep = [deep]
    widgets = Widgets()
    widgets.handle(opened("a", value=deep, other=1))
    assert models(widgets)["a"]["state"] == {"other": 1}
