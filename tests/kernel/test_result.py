"""What a reply says of an exception."""

from __future__ import annotations

from moorage.kernel.result import error_of


def test_no_error_in_a_good_reply():
    assert error_of({"status": "ok"}) is None
    assert error_of({"status": "error", "ename": "E", "traceback": None}).traceback == ()
