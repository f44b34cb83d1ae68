"""Which servers may sleep; that they do is tested with real ones."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from moorage.errors import ConfigurationError, UsageError
from moorage.plan.visits import OfferName, ServerId, VisitorId
from moorage.temp.commands import ServerCommand
from moorage.temp.home import Home
from moorage.temp.offers import Offer, only_offer
from moorage.temp.record import ServerRecord
from moorage.temp.server import Serving
from moorage.temp.settings import TempSettings
from moorage.temp.sleeping import Sleepers, check_sleep
from moorage.temp.urls import ServerUrls
from temp.rig import toy

LAB = ServerCommand("JupyterLab", (sys.executable, "-P", "-m", "jupyterlab"), jupyter=True)
SETTINGS = TempSettings(Path("/state"), LAB, sleep=60.0)


def test_servers_that_are_forked_may_sleep() -> None:
    check_sleep(only_offer(SETTINGS))


def test_others_may_where_none_is_to() -> None:
    check_sleep(only_offer(replace(SETTINGS, sleep=0.0, command=toy(), acceptors=2, fork=False)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"acceptors": 2}, "--sleep does not go with --acceptors"),
        ({"fork": False}, "servers cannot be put to sleep"),
        ({"command": toy()}, "servers cannot be put to sleep"),
        ({"engine": Path("/run/docker.sock")}, "servers cannot be put to sleep"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_sleep(only_offer(replace(SETTINGS, **changed)))


def test_an_offer_is_named() -> None:
    name = OfferName("physics")
    offers = {name: Offer(name, "", "", 0, replace(SETTINGS, command=toy()))}
    with pytest.raises(ConfigurationError, match="servers of physics cannot be put to sleep"):
        check_sleep(offers)


def test_a_server_that_was_spawned_is_told_as_one_that_will_not_sleep(
    caplog: pytest.LogCaptureFixture,
) -> None:
    record = ServerRecord(VisitorId("ann"), "unix:/s", "/", jupyter=True, stripped=False, sleep=60.0)
    serving = Serving(record, Home(Path("/one"), "secret"))
    assert serving.sleepless
    assert not replace(serving, record=msgspec.structs.replace(record, sleep=0.0)).sleepless
    unused: Any = SimpleNamespace(urls=ServerUrls(), core=None)
    sleepers = Sleepers(unused, {}, unused, unused, unused, unused, SETTINGS)
    sleepers.admitted(ServerId("one"), serving)
    assert "Server one will not sleep: it was spawned, for its template failed" in caplog.text
    assert sleepers._sleeps == {}
