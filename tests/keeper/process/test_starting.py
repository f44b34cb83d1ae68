"""How a keeper starts its charge; that it sleeps and wakes, tests/keeper/test_sleeping.py has."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from moorage.keeper.process import charge
from moorage.keeper.process.starting import Starter

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="keepers need fork")
SPEC = {"argv": ["sh", "-c", "exit 3"], "env": {"PATH": "/bin:/usr/bin"}, "cwd": "/", "umask": 0o77}


def test_a_charge_without_a_warden_needs_nothing_more() -> None:
    starter = Starter("id", None, None, None)
    kept = starter.first(dict(SPEC))
    assert (starter.warden, starter.tender(kept), starter.lost(kept)) == (0, None, False)
    os.waitid(os.P_PID, kept.pid, os.WEXITED | os.WNOWAIT)
    assert kept.reap()
    assert kept.ended is not None
    assert kept.ended["code"] == 3
    kept.hear()
    kept.close()


@pytest.mark.parametrize("walls", [None, {"user_namespace": True}])
def test_there_is_no_warden_where_forks_cannot_become_one(walls: object) -> None:
    with pytest.raises(charge.StartRefused) as caught:
        Starter("id", None, None, None).first({**SPEC, "warden": True, "walls": walls})
    assert (caught.value.stage, caught.value.number) == ("warden", errno.ENOSYS)
