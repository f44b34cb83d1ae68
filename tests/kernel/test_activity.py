"""What a kernel says it is doing."""

from __future__ import annotations

from moorage.kernel.activity import Activity
from moorage.wire.messages import Header, Message


def says(state, parent, kind="status"):
    header = Header("id", kind, "session", "", "2026-01-01T00:00:00+00:00")
    parent_header = {"msg_id": parent}
    return Message("iopub", header, parent_header=parent_header, content={"execution_state": state})


def test_it_is_busy_from_busy_to_idle():
    activity = Activity()
    assert not activity.busy
    activity.handle(says("busy", "a"))
    assert activity.busy
    activity.handle(says("idle", "a"))
    assert not activity.busy


def test_a_question_on_control_does_not_end_what_runs_on_shell():
    activity = Activity()
    activity.handle(says("busy", "cell"))
    activity.handle(says("busy", "question"))
    activity.handle(says("idle", "question"))
    assert activity.busy
    activity.handle(says("idle", "cell"))
    assert not activity.busy


def test_what_is_no_status_and_what_it_never_began_change_nothing():
    activity = Activity()
    activity.handle(says("busy", "a", kind="stream"))
    activity.handle(says("starting", "a"))
    activity.handle(says("idle", "b"))
    assert not activity.busy


def test_after_a_restart_nothing_is_under_way():
    activity = Activity()
    activity.handle(says("busy", "a"))
    activity.forget()
    assert not activity.busy
