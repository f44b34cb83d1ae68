"""Where a launch takes place, and what is tried; the starts themselves are in test_kernel and tests/real."""

from __future__ import annotations

import pytest

from moorage.errors import UsageError
from moorage.kernel.starting import place_of
from moorage.places.here import Here

NOTHING = {"warden": None, "fork": "auto", "isolate": "none", "process": None}


def test_without_a_place_it_is_this_machine():
    assert place_of(None, **NOTHING) == Here()
    assert place_of(None, **NOTHING | {"fork": True, "isolate": "net"}) == Here(fork=True, isolate="net")


def test_a_place_stands_by_itself():
    place = Here(fork=False)
    assert place_of(place, **NOTHING) is place
    with pytest.raises(UsageError):
        place_of(place, **NOTHING | {"isolate": "net"})
