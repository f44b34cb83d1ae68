"""What opens the route of a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage.plan.visits import ServerId, VisitorId
from moorage.temp.admitting import admission_of
from moorage.temp.home import Home
from moorage.temp.identity import Identity
from moorage.temp.record import ServerRecord
from moorage.temp.server import Serving
from moorage.temp.urls import ServerUrls


@pytest.mark.parametrize("jupyter", [True, False])
def test_a_jupyter_server_gets_its_token_and_another_one_does_not(jupyter: bool) -> None:
    record = ServerRecord(VisitorId("ann"), "unix:/s", "/", jupyter, stripped=not jupyter)
    serving = Serving(record, Home(Path("/one"), "secret"))
    server = ServerId("one")
    found = admission_of(Identity(b"k" * 32), ServerUrls(), server, VisitorId("ann"), serving)
    assert found.fields == (((b"Authorization", b"token secret"),) if jupyter else ())
    assert (found.stripped, found.own) == (not jupyter, b"")
    assert found.cookie.startswith(b"moorage-")
    other = admission_of(Identity(b"k" * 32), ServerUrls(), server, VisitorId("bob"), serving)
    assert other.cookie != found.cookie
