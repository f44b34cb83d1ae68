"""A keeper's child: how it comes into being, what it is told of, how its end is told."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys

import pytest


def said(keeper) -> str:
    return keeper.first.state("ended")["output"]["tail"]


@pytest.mark.parametrize(
    ("argv", "rest", "stage", "number"),
    [
        (["/nowhere/program"], {}, "exec", errno.ENOENT),
        (["sleep", "1"], {"cwd": "/nowhere"}, "chdir", errno.ENOENT),
        (["/etc/passwd"], {}, "exec", errno.EACCES),
        (["a\0b"], {}, "exec", errno.EINVAL),
        (["sleep"], {"env": {"A\0B": "1"}}, "exec", errno.EINVAL),
    ],
)
def test_a_charge_that_cannot_be_started_is_told_with_the_step_that_failed(
    keeper, until, argv, rest, stage, number
):
    told = keeper.begin(*argv, **rest)
    assert (told["tell"], told["stage"], told["errno"]) == ("failed", stage, number)
    keeper.first.end()
    until(lambda: not keeper.directory.exists())


def test_a_charge_that_dies_while_starting_is_told_with_status_and_output(keeper):
    keeper.begin("sh", "-c", "echo out; echo err >&2; exit 3")
    told = keeper.first.state("ended")
    assert told["output"]["tail"] == "out\nerr\n"
    assert told["ended"]["code"] == 3
    assert told["reason"] == "exit"


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_death_by_signal_is_told_as_one_and_never_guessed(keeper, signum):
    keeper.begin("sh", "-c", f"kill -{int(signum)} $$")
    ended = keeper.first.state("ended")["ended"]
    assert (ended["code"], ended["signal"], ended["oom"]) == (None, signum, False)


def test_it_has_its_environment_directory_umask_and_no_signal_ignored(keeper, place):
    code = (
        "import os, json, signal\n"
        "names = [s for s in range(1, 32) if s not in (9, 19) and signal.getsignal(s) == signal.SIG_IGN]\n"
        "masked = sorted(signal.pthread_sigmask(0, []))\n"
        "print(json.dumps([dict(os.environ), os.getcwd(), os.umask(0), names, masked]))"
    )
    keeper.begin(
        "/usr/bin/env", sys.executable, "-I", "-c", code, env={"A": "b\udcff"}, cwd=str(place), umask=0o27
    )
    env, cwd, umask, ignored, masked = json.loads(said(keeper))
    assert env.pop("MOORAGE_KEPT") == str(keeper.directory)
    env.pop("LC_CTYPE", None)
    assert env == {"A": "b\udcff"}
    assert (cwd, umask) == (str(place), 0o27)
    assert ignored in ([], [13, 25]), "Python itself ignores SIGPIPE and SIGXFSZ"
    assert masked == []


def test_limits_are_set(keeper):
    process = {
        "rlimits": [[7, 77, 88]],
        "umask": None,
        "user": None,
        "group": None,
        "groups": None,
        "pass_fds": [],
    }
    keeper.begin("sh", "-c", "ulimit -n; ulimit -Hn", process=process)
    assert said(keeper) == "77\n88\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts other users' processes")
def test_user_and_group_are_as_asked(keeper):
    process = {"rlimits": [], "umask": 0o77, "user": 65534, "group": 7, "groups": [9], "pass_fds": []}
    keeper.begin("sh", "-c", "id -u; id -g; id -G; umask", process=process)
    assert said(keeper) == "65534\n7\n7 9\n0077\n"


def test_the_output_of_both_streams_is_in_order(keeper):
    keeper.begin("sh", "-c", "for n in 1 2 3 4; do echo $n; echo $n >&2; done")
    assert said(keeper) == "1\n1\n2\n2\n3\n3\n4\n4\n"
