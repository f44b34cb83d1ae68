"""Answers of the admin interface."""

from __future__ import annotations

from moorage.temp.admin_answers import json_answer, refused
from moorage.wire.temp_admin import Drain


def test_answers_are_json() -> None:
    answer = json_answer(Drain(True))
    assert (answer.status, answer.body, answer.content_type) == (
        200,
        b'{"draining":true}',
        "application/json",
    )
    answer = refused(404, "no")
    assert (answer.status, answer.body) == (404, b'{"error":"no"}')
