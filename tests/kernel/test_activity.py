"""What a kernel says it is doing."""

from __future__ import annotations

import asyncio

import pytest

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


def of(state, parent, session):
    message = says(state, parent)
    message.parent_header["session"] = session
    return message


def test_requests_of_other_clients_are_told_apart():
    activity = Activity()
    activity.own_sessions.add("own")
    activity.handle(of("busy", "a", "own"))
    assert activity.busy
    assert not activity.busy_for_others
    activity.handle(of("busy", "b", "other"))
    assert activity.busy_for_others
    activity.handle(of("idle", "b", "other"))
    assert not activity.busy_for_others


@pytest.mark.anyio
async def test_what_is_under_way_unseen_ends_with_any_request_of_another_client():
    activity = Activity()
    activity.own_sessions.add("own")
    activity.begin_unknown()
    activity.handle(of("busy", "a", "own"))
    activity.handle(of("idle", "a", "own"))
    assert activity.busy_for_others
    waiting = asyncio.create_task(activity.settled())
    activity.handle(of("idle", "b", "other"))
    async with asyncio.timeout(10):
        await waiting
    assert not activity.busy
