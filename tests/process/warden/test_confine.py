"""As another user, within limits, with descriptors: what a launched process finds of it."""

from __future__ import annotations

import errno
import json
import os
import sys

import pytest

from moorage.errors import LaunchError
from moorage.process.base import LocalSpec
from moorage.process.explain import explain
from moorage.process.options import ProcessOptions

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="launching needs Linux")]
root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root starts other users' processes"
)

# Where any user may execute it: this interpreter may lie in a folder that is closed to others.
PYTHON = "/usr/bin/python3"
system = pytest.mark.skipif(not os.access(PYTHON, os.X_OK), reason=f"there is no {PYTHON}")


async def found(launcher, code, **options):
    """Run code with options; returns what it prints, which is JSON."""
    spec = LocalSpec((PYTHON, "-I", "-S", "-c", code), "/", {}, process=ProcessOptions(**options))
    async with launcher.launch(spec) as handle:
        await handle.wait()
        return json.loads(handle.output())


WHO = "import os, json; print(json.dumps([os.getresuid(), os.getresgid(), sorted(os.getgroups())]))"


@root
@system
@pytest.mark.parametrize(
    ("options", "gid", "groups"),
    [
        ({"user": "nobody"}, 65534, [65534]),
        ({"user": 65534}, 65534, [65534]),
        ({"user": 65534, "group": 7}, 7, [7]),
        ({"user": 54321, "group": 54322}, 54322, []),
        ({"user": "nobody", "group": "daemon", "extra_groups": ["sys", 77]}, 1, [3, 77]),
    ],
)
async def test_user_and_groups_are_as_asked_and_none_is_the_launchers(launcher, options, gid, groups):
    uid = 54321 if options["user"] == 54321 else 65534
    assert await found(launcher, WHO, **options) == [[uid] * 3, [gid] * 3, groups]


RIGHTS = """
import json, os
told = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
refused = []
for name, call in {
    "setuid": lambda: os.setuid(0),
    "setgid": lambda: os.setgid(0),
    "setgroups": lambda: os.setgroups([0]),
    "shadow": lambda: open("/etc/shadow").read(),
}.items():
    try:
        call()
    except PermissionError:
        refused.append(name)
print(json.dumps([told["CapEff"], told["CapPrm"], told["CapAmb"], refused]))
"""


@root
@system
async def test_no_right_is_regained(launcher):
    none = "0" * 16
    refused = ["setuid", "setgid", "setgroups", "shadow"]
    assert await found(launcher, RIGHTS, user="nobody") == [none, none, none, refused]


@root
@system
async def test_it_still_dies_with_its_warden(launcher, warden, alive, until):
    # The system forgets that wish when a process becomes another user's.
    code = "import time; print(1, flush=True); time.sleep(600)"
    spec = LocalSpec((PYTHON, "-c", code), "/", {}, process=ProcessOptions(user="nobody"))
    async with launcher.launch(spec) as handle:
        await until(lambda: handle.output() == "1\n")
        os.kill(warden.pid, 9)
        await until(lambda: not alive(handle.pid))


@system
async def test_umask_limits_and_descriptors_arrive(launcher):
    code = (
        "import json, os, resource as r; mask = os.umask(0); "
        "print(json.dumps([mask, r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE), "
        "sorted(map(int, os.listdir('/proc/self/fd'))), FDS]))"
    )
    reader, writer = os.pipe()
    os.write(writer, b"said")
    os.close(writer)
    high = os.dup2(reader, 200)
    try:
        mask, files, core, fds, said = await found(
            launcher,
            code.replace("FDS", f"os.read({reader}, 2).decode() + os.read({high}, 2).decode()"),
            umask=0o027,
            rlimits={"NOFILE": (300, 400), "RLIMIT_CORE": 0},
            pass_fds=[high, reader, 1],
        )
    finally:
        os.close(reader)
        os.close(high)
    assert (mask, files, core, said) == (0o027, [300, 400], [0, 0], "said")
    assert len(set(fds) - {0, 1, 2, reader, high}) == 1  # the listing's own


@system
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"rlimits": {"NOFILE": (400, 300)}}, "its limits cannot be set"),
        ({"pass_fds": [9999]}, "is not open"),
    ],
)
async def test_what_cannot_be_given_is_told(launcher, options, why):
    with pytest.raises(LaunchError, match=why):
        await found(launcher, "print(1)", **options)


@root
async def test_a_program_closed_to_that_user_is_told(launcher, tmp_path):
    program = tmp_path / "closed"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    spec = LocalSpec((str(program),), "/", {}, process=ProcessOptions(user="nobody"))
    with pytest.raises(LaunchError, match="the user nobody may not execute it"):
        async with launcher.launch(spec):
            pass


def test_a_refused_user_is_told():
    spec = LocalSpec(("x",), "/", {}, process=ProcessOptions(user="daemon", group="sys"))
    told = str(explain(spec, "user", errno.EPERM))
    assert "may not start one of user daemon and group sys: Operation not permitted" in told
