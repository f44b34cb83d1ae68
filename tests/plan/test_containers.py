"""Which container a server gets."""

from __future__ import annotations

import pytest

from moorage.plan.containers import PRIVATE, ContainerKind, Mount, container, listed, told, user_of
from moorage.plan.walls import PREFERRED, Share

LAB = ContainerKind("lab")


def made(kind: ContainerKind = LAB, user: str = "7:8", **share: float) -> dict:
    return container(kind, user, Share(**share), [Mount("/x", "/y")], {"l": "v"})


def test_the_defaults_are_hard() -> None:
    body = made()
    host = body["HostConfig"]
    assert (host["NetworkMode"], host["CapDrop"], host["SecurityOpt"]) == (
        "none",
        ["ALL"],
        ["no-new-privileges"],
    )
    assert host["ReadonlyRootfs"]
    assert host["Init"]
    assert host["PidsLimit"] == 512
    assert host["Tmpfs"][PRIVATE] == f"rw,exec,nosuid,nodev,size={512 << 20},mode=0700,uid=7,gid=8"
    assert "mode=1777" in host["Tmpfs"]["/tmp"]
    assert host["LogConfig"]["Config"]["max-size"] == "1m"
    assert {"Memory", "NanoCpus"}.isdisjoint(host)
    assert (body["User"], body["Image"], body["Labels"]) == ("7:8", "lab", {"l": "v"})
    assert body["Entrypoint"][-1] == PRIVATE


def test_what_is_asked_for_is_in_it() -> None:
    kind = ContainerKind("lab", "ann", (Mount("/data", "/d", writable=True),), "some")
    host = made(kind, "ann", memory=1 << 30, cpus=0.5, processes=64, disk=1 << 20)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (1 << 30, 1 << 30, 500_000_000)
    assert (host["NetworkMode"], host["PidsLimit"]) == ("some", 64)
    assert [(each["Target"], each["ReadOnly"]) for each in host["Mounts"]] == [("/y", True), ("/d", False)]
    assert host["Tmpfs"][PRIVATE].endswith("size=1048576,mode=1777")


@pytest.mark.parametrize(("user", "owned"), [("7", "uid=7,gid=7"), ("ann:7", "1777"), ("7:staff", "1777")])
def test_a_directory_belongs_to_a_user_by_its_number(user: str, owned: str) -> None:
    assert made(user=user)["HostConfig"]["Tmpfs"][PRIVATE].endswith(owned)


def test_as_which_user_a_server_runs() -> None:
    one, other = (user_of(each, (0, 0), rootless=False, remapped=False) for each in ("a1", "a2"))
    assert one[0] == one[1] == PREFERRED + 0xA1
    assert one != other
    assert user_of("a1", (1000, 100), rootless=False, remapped=False) == (1000, 100)
    assert user_of("a1", (1000, 100), rootless=True, remapped=False) == (0, 0)
    assert user_of("a1", (0, 0), rootless=False, remapped=True) == (1000, 1000)


def test_what_the_start_says() -> None:
    assert listed([ContainerKind("a")]).endswith("no network")
    assert listed([ContainerKind("a", network="n"), ContainerKind("b")]).endswith("network: n, none")
    assert listed([]).endswith("no privileges")
    assert told(Share(memory=1 << 30, cpus=2)).startswith("1024 MiB of memory, 512 MiB of files")
    assert told(Share(cpus=2)).endswith("512 processes and threads, 2 processors at most")
