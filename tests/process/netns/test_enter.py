"""Into a network namespace of one's own: what changes, what does not, and where it is refused."""

from __future__ import annotations

import json
import os
import platform
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.process.netns.probe import HELPER, obstacle
from ordinary import NOBODY, Ordinary, ordinary_user

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or obstacle() is not None, reason=f"no namespaces here: {obstacle()}"
)
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to take rights away from")

FILES = Path(__file__).parents[1] / "files"
# Enters, and then tells of itself twice: as it is, and after an exec.
TOLD = """
import ctypes, errno, json, os, socket, sys
def made(family, how=socket.socket):
    try:
        how(family, socket.SOCK_RAW if family in (16, 17) else socket.SOCK_STREAM)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "made"
def call(*words):
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(*words) if libc.syscall(*words) >= 0 else errno.errorcode[ctypes.get_errno()]
def told():
    status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    listener = socket.create_server(("127.0.0.1", 8000))
    socket.create_connection(listener.getsockname(), timeout=5).close()
    socket.create_server(("::1", 8001), family=socket.AF_INET6).close()
    return {
        "uid": os.getresuid(), "gid": os.getresgid(), "home": os.environ["HOME"], "cwd": os.getcwd(),
        "rights": {key: int(status[key], 16) for key in ("CapPrm", "CapEff", "CapInh", "CapAmb")},
        "bounding": int(status["CapBnd"], 16),
        "net": os.readlink("/proc/self/ns/net"), "user": os.readlink("/proc/self/ns/user"),
        "map": open("/proc/self/uid_map").read().split(),
        "interfaces": [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]],
        "groups": sorted(os.getgroups()),
        "families": [made(family) for family in (1, 2, 10, 16, 17, 21, 40, 42)],
        "pair": made(40, socket.socketpair), "ring": call(425, 1, None), "x32": call(41 | 1 << 30, 40, 1, 0),
        "seen": [sorted(os.listdir(f"/sys/{each}")) for each in ("class/net", "devices/virtual/net")],
        "groups of control": sorted(os.listdir("/sys/fs/cgroup")),
        "range": open("/proc/sys/net/ipv4/ip_local_port_range").read().split(),
    }
if sys.argv[1] == "enter":
    sys.path.insert(0, sys.argv[2])
    import enter
    enter.enter(tuple(map(int, sys.argv[3:])) or None)
    first = json.dumps(told())
    os.execv(sys.executable, [sys.executable, "-c", os.environ["TOLD"], first])
print(json.dumps([json.loads(sys.argv[1]), told()]))
"""
# What docker gives the root of a container.
CONTAINER = (
    "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,"
    "sys_chroot,mknod,audit_write,setfcap"
)


# An id that a namespace does not know reads as nobody's: what is right for him alone must not pass.
@pytest.fixture(scope="module", params=[NOBODY, 4321])
def user(request):
    with ordinary_user(request.param) as user:
        yield user


def entered(user: Ordinary, *ports: int, before=(), **rest):
    """Enter as that user; returns what it was like before and after the exec."""
    done = user.run(
        *before,
        user.python,
        "-c",
        TOLD,
        "enter",
        user.source / "moorage" / "process" / "netns",
        *ports,
        env={"TOLD": TOLD},
        **rest,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def with_rights(rights: str) -> list[str]:
    """Return the beginning of a command that leaves root only these capabilities."""
    kept = ",".join(f"+{each}" for each in rights.split(",")) if rights else ""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("there is no setpriv")
    return [setpriv, "--inh-caps", "-all", "--bounding-set", f"-all,{kept}".rstrip(",")]


def outside(name: str) -> str:
    return str(Path(f"/proc/self/ns/{name}").readlink())


def test_an_ordinary_user_stays_who_he_is_and_gains_nothing(user):
    for each in entered(user):
        assert each["uid"] == [user.uid] * 3
        assert each["gid"] == [user.gid] * 3
        assert (each["home"], each["cwd"]) == (str(user.home), str(user.home))
        assert set(each["rights"].values()) == {0}
        assert each["net"] != outside("net")
        assert each["user"] != outside("user")
        assert each["map"] == [str(user.uid), str(user.uid), "1"]
        assert "lo" in each["interfaces"]


@pytest.mark.parametrize("as_root", [False, pytest.param(True, marks=as_root)])
def test_what_a_network_namespace_does_not_hold_back_is_refused(user, as_root):
    """A virtual machine's line to its host is open to all inside, whatever their namespace."""
    for each in entered(user, as_root=as_root):
        assert each["families"][:4] == ["made"] * 4
        assert each["families"][5:] == ["EAFNOSUPPORT"] * 3
        assert (each["pair"], each["ring"]) == ("EAFNOSUPPORT", "EPERM")
        if platform.machine() == "x86_64":
            assert each["x32"] in ("EAFNOSUPPORT", "ENOSYS")


@pytest.mark.parametrize("as_root", [False, pytest.param(True, marks=as_root)])
def test_sys_shows_the_interfaces_inside_and_what_else_it_showed(user, as_root):
    if not mounting_works():
        pytest.skip("no sysfs can be mounted here")
    for each in entered(user, as_root=as_root):
        assert each["seen"] == [each["interfaces"]] * 2
        assert each["groups of control"] == sorted(each.name for each in Path("/sys/fs/cgroup").iterdir())


def mounting_works() -> bool:
    command = ["unshare", "-Urnm", "mount", "-t", "sysfs", "sysfs", "/sys"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_filter_ends_on_every_path():
    """Every jump leads into the program, and the last instruction of every part returns."""
    from moorage.process.netns import enter

    program = [*struct.iter_unpack("HBBI", enter.system_call_filter())]
    for at, (code, if_so, if_not, _) in enumerate(program):
        if code == 0x15:
            assert at + 1 + max(if_so, if_not) < len(program)
    assert program[-1][0] == 0x06
    assert len(program) < 4096


def test_the_ports_handed_out_can_be_told(user):
    for each in entered(user, 40000, 40003):
        assert each["range"] == ["40000", "40003"]
    assert entered(user)[0]["range"] != ["40000", "40003"]


def test_each_gets_one_of_its_own(user):
    inner = "readlink /proc/self/ns/net"
    script = f"{inner}; {user.python} -m moorage isolate -- {inner}"
    names = user.moorage("isolate", "--", "sh", "-c", script).stdout.split()
    assert len({*names, outside("net")}) == 3


def test_without_any_rights_and_ever_getting_any_it_works(user):
    bare = ["setpriv", "--no-new-privs"]
    if os.getuid() == 0:
        bare = [*with_rights(""), "--no-new-privs", "--reuid", str(user.uid), "--regid", str(user.gid)]
        first, second = entered(user, before=[*bare, "--clear-groups"], as_root=True)
        assert (first["bounding"], second["bounding"]) == (0, 0)
    else:
        first, second = entered(user, before=bare)
    assert set(first["rights"].values()) | set(second["rights"].values()) == {0}
    assert second["uid"] == [user.uid] * 3


@as_root
def test_root_needs_no_user_namespace_and_keeps_his_rights(user):
    mine = int(next(line for line in status() if line.startswith("CapEff")).split()[1], 16)
    for each in entered(user, as_root=True):
        assert each["uid"] == [0, 0, 0]
        assert each["user"] == outside("user")
        assert each["net"] != outside("net")
        assert each["rights"]["CapEff"] == mine


@as_root
@pytest.mark.parametrize("rights", [CONTAINER, f"{CONTAINER},sys_admin", f"{CONTAINER},net_admin"])
def test_the_root_of_a_container_keeps_his_rights_and_gets_no_more(user, rights):
    before = with_rights(rights)
    mine = user.run(*before, "cat", "/proc/self/status", as_root=True).stdout
    for each in entered(user, before=before, as_root=True):
        assert each["uid"] == [0, 0, 0]
        assert each["user"] != outside("user")
        assert each["map"] == Path("/proc/self/uid_map").read_text().split()
        assert f"CapEff:\t{each['rights']['CapEff']:016x}" in mine
        assert f"CapBnd:\t{each['bounding']:016x}" in mine


@as_root
def test_the_root_of_a_container_may_still_use_other_peoples_files(user, tmp_path):
    file = tmp_path / "theirs"
    file.write_text("x")
    file.chmod(0o600)
    os.chown(file, NOT_ROOT, NOT_ROOT)
    command = ["isolate", "--", "sh", "-c", f"echo y >> {file} && chown 1:1 {file} && stat -c %u:%g {file}"]
    done = user.moorage(*command, before=with_rights(CONTAINER), as_root=True)
    assert (done.returncode, done.stdout) == (0, "1:1\n"), done.stderr


NOT_ROOT = 12345


@as_root
def test_groups_stay_where_they_can_be_mapped(user):
    done = user.moorage(
        "isolate", "--", "id", "-G", before=with_rights(CONTAINER), as_root=True, extra_groups=[0, 4, 6]
    )
    assert sorted(done.stdout.split()) == ["0", "4", "6"]


@as_root
def test_a_root_without_any_rights_is_told_what_is_missing(user):
    done = user.moorage("isolate", "--", "true", before=with_rights(""), as_root=True)
    if done.returncode == 0:
        pytest.skip("before Linux 5.12 he may map himself")
    assert done.returncode == 125
    assert done.stderr.startswith(
        "error: no network namespace can be had here (E-ISOLATE). This root may not map"
    )
    assert "SETFCAP" in done.stderr


def limited(**limits: int) -> list[str]:
    """Return the beginning of a command run below these limits, without rights."""
    set_ = " && ".join(f"echo {value} > /proc/sys/user/{name}" for name, value in limits.items())
    bare = "exec setpriv --ambient-caps -all --inh-caps -all"
    return [
        "unshare",
        "--user",
        "--map-current-user",
        "--keep-caps",
        "sh",
        "-c",
        f'{set_} && {bare} "$@"',
        "sh",
    ]


@pytest.mark.parametrize("name", ["max_user_namespaces", "max_net_namespaces"])
def test_where_a_limit_forbids_it_the_limit_is_named(user, name):
    done = user.moorage("isolate", "--", "true", before=limited(**{name: 0}))
    assert done.returncode == 125
    assert f"(E-ISOLATE). The limit user.{name} is 0. As root, type `sysctl user.{name}=" in done.stderr
    assert done.stderr.count("\n") == 1


def test_where_a_filter_forbids_it_the_container_is_named(user):
    forbidding = shutil.copy(FILES / "forbidding.py", user.folder)
    done = user.moorage("isolate", "--", "true", before=[user.python, forbidding])
    assert done.returncode == 125
    assert "The container's system call filter forbids it (Operation not permitted)" in done.stderr
    assert "seccomp=unconfined" in done.stderr


def test_it_nests(user):
    done = user.moorage("isolate", "--", user.python, "-m", "moorage", "isolate", "--", "id", "-u")
    assert (done.returncode, done.stdout) == (0, f"{user.uid}\n"), done.stderr


def test_run_by_its_path_it_tells_the_step_and_the_errno(user):
    helper = user.source / "moorage" / "process" / "netns" / "enter.py"
    flags = ["-I", "-S", "-E"]
    assert user.run(user.python, *flags, helper).returncode == 0
    done = user.run(*limited(max_net_namespaces=0), user.python, *flags, helper)
    assert (done.returncode, done.stdout) == (1, "isolate/net 28\n")


def test_it_loads_few_modules():
    command = [sys.executable, "-X", "importtime", "-I", "-S", "-E", str(HELPER)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ctypes" in loaded
    assert not {"typing", "pathlib", "contextlib", "subprocess", "asyncio"} & loaded


def status() -> list[str]:
    return Path("/proc/self/status").read_text().splitlines()
