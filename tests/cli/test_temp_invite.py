"""The options of ``moorage temp invite`` and ``invites``."""

from __future__ import annotations

import pytest

from moorage.cli.main import build_parser
from moorage.errors import UsageError


def test_what_they_take() -> None:
    parse = build_parser().parse_args
    options = parse(["temp", "invite", "--offer", "physics", "--seats", "30", "--hours", "3", "--port", "1"])
    assert (options.action, options.offer, options.seats, options.hours) == ("invite", "physics", 30, 3.0)
    assert (options.port, options.url, options.to) == (1, "", "")
    assert parse(["temp", "invite", "--seats", "1"]).hours == 24.0
    assert parse(["temp", "invites", "--withdraw", "a", "b"]).withdraw == ["a", "b"]
    with pytest.raises(UsageError, match="--seats"):
        parse(["temp", "invite"])
