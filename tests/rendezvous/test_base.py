"""All rendezvous keep one contract."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from moorage.rendezvous.base import Choice, Way
from moorage.rendezvous.choice import make

WAYS = ["ipc", "hold", "self-bind"]


def test_a_choice_is_a_way_or_auto():
    assert set(get_args(Choice)) == {*get_args(Way), "auto"}


@pytest.mark.parametrize("way", WAYS)
def test_the_file_is_private_and_complete_but_for_what_the_kernel_chooses(directory, way):
    meeting = make(way, directory, b"secret", "python3")
    assert meeting.way == way
    assert meeting.connection_file.stat().st_mode & 0o777 == 0o600
    content = json.loads(meeting.connection_file.read_bytes())
    assert (content["key"], content["kernel_name"]) == ("secret", "python3")
    assert content["signature_scheme"] == "hmac-sha256"
    assert content["transport"] == ("ipc" if way == "ipc" else "tcp")
    meeting.close()


@pytest.mark.parametrize("way", WAYS)
def test_closing_leaves_nothing_and_may_be_done_twice(directory, way):
    meeting = make(way, directory, b"secret", "")
    (directory / "k-1").touch()
    meeting.close()
    meeting.close()
    assert not meeting.connection_file.exists()
    assert way != "ipc" or not (directory / "k-1").exists()
