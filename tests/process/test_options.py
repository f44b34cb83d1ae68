from __future__ import annotations

import os
import sys

import pytest

from moorage.errors import UsageError
from moorage.process.options import Ids, ProcessOptions

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no users of processes on Windows")


def test_nothing_asked_for_is_nothing_changed():
    options = ProcessOptions()
    assert options.ids() == Ids(None, None, None)
    assert options.owner() is None
    assert options.to_dict() == {
        "user": None,
        "group": None,
        "groups": None,
        "umask": None,
        "rlimits": [],
        "pass_fds": [],
    }


def test_a_user_comes_with_the_own_groups():
    import pwd

    entry = pwd.getpwuid(os.getuid())
    ids = ProcessOptions(user=entry.pw_name).ids()
    assert (ids.user, ids.group) == (entry.pw_uid, entry.pw_gid)
    assert ids.group in ids.groups
    assert ProcessOptions(user=os.geteuid()).owner() is None
    assert ProcessOptions(group=7, extra_groups=[8]).ids() == Ids(None, 7, (8,))
    assert ProcessOptions(user=54321, group=54322).owner() == (54321, 54322)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"user": "no-such-user"}, "there is no user no-such-user"),
        ({"user": 54321}, "there is no user 54321.*or a group, too"),
        ({"user": -1}, "user is -1"),
        ({"user": True}, "user is True"),
        ({"user": 1.5}, "user is 1.5"),
        ({"group": "no-such-group"}, "there is no group no-such-group"),
        ({"umask": "022"}, "umask is '022'"),
        ({"rlimits": {"SPEED": 1}}, "there is no limit SPEED"),
        ({"rlimits": {"AS": "1G"}}, "rlimits.*is '1G'"),
        ({"rlimits": {"AS": (1, 2, 3)}}, "neither a number nor"),
        ({"pass_fds": ["3"]}, "pass_fds is '3'"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(options, complaint):
    with pytest.raises(UsageError, match=complaint):
        ProcessOptions(**options).to_dict()


def test_limits_have_any_spelling():
    import resource

    given = {"nofile": 64, "RLIMIT_AS": (-1, -1)}
    assert ProcessOptions(rlimits=given).to_dict()["rlimits"] == [
        [resource.RLIMIT_NOFILE, 64, 64],
        [resource.RLIMIT_AS, -1, -1],
    ]
