"""The container of one visitor's server, as the engine is told of it: what it sees, its user, how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moorage.json_types import JsonObject
from moorage.plan.walls import NAME, PREFERRED, ServerIds, Share

STATE_LABEL, SERVER_LABEL, PORT_LABEL = "moorage.temp.state", "moorage.temp.server", "moorage.temp.port"
"""Labels with the state directory of the service, the server's name, and its port where it has one."""
GIVEN, PRIVATE, NOTICE = "/moorage", "/visitor", "/moorage-notice"
"""What a container sees below its root, for images let no visitor into every folder: what the visitor begins
with, the visitor's own directory, and the extension that tells of the end."""
SMALL = 64 << 20
"""Bytes of each of /tmp, /var/tmp and /dev/shm, which lie in memory."""
NO_NETWORK, HOST_NETWORK = "none", "host"
_IDS = ServerIds(PREFERRED, 2**31 - 2 - PREFERRED)
_MAPPED = 1000
"""The user where an engine has user ids of its own in containers, and few of them."""
_LOG = {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}}
# The visitor's files are copied as its own user, then the server takes the place of the shell.
_SCRIPT = (
    'umask 077 && cp -R /moorage/home /moorage/work /moorage/token "$0" && cd "$0/work" && umask 022'
    ' && exec "$@"'
)


@dataclass(frozen=True)
class Mount:
    """A folder or file of this machine that visitors see.

    Args:
        source: its absolute path.
        target: where it is in containers.
        writable: whether all visitors may change it.
    """

    source: str
    target: str
    writable: bool = False

    @property
    def words(self) -> JsonObject:
        """It, as the engine takes it."""
        return {"Type": "bind", "Source": self.source, "Target": self.target, "ReadOnly": not self.writable}


@dataclass(frozen=True)
class ContainerKind:
    """What containers of an offer have in common.

    Args:
        image: that they are made of.
        user: of the server in it, ``NAME``, ``UID`` or ``UID:GID``; empty for one that is chosen here.
        mounts: what they see beside the image.
        network: of the engine; ``none`` for none.
    """

    image: str
    user: str = ""
    mounts: tuple[Mount, ...] = ()
    network: str = NO_NETWORK


def container(
    kind: ContainerKind,
    user: str,
    share: Share,
    mounts: Sequence[Mount],
    labels: Mapping[str, str],
) -> JsonObject:
    """Return what the engine is told to make, without command and environment.

    Args:
        kind: of it.
        user: as the engine takes it.
        share: what its visitor may take.
        mounts: beside those of the kind.
        labels: that it is found by.
    """
    host: JsonObject = {
        "NetworkMode": kind.network,
        "Init": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "PidsLimit": share.processes,
        "ShmSize": SMALL,
        "Ulimits": [_ulimit("nofile", share.files), _ulimit("core", 0)],
        "Tmpfs": {
            PRIVATE: f"rw,exec,nosuid,nodev,size={share.disk},{_owned(user)}",
            **dict.fromkeys(("/tmp", "/var/tmp"), f"rw,exec,nosuid,nodev,size={SMALL},mode=1777"),  # noqa: S108 - in a container
        },
        "Mounts": [each.words for each in (*mounts, *kind.mounts)],
        "LogConfig": _LOG,
    }
    if share.memory:
        host |= {"Memory": share.memory, "MemorySwap": share.memory}
    if share.cpus:
        host |= {"NanoCpus": round(share.cpus * 1e9)}
    return {
        "Image": kind.image,
        "User": user,
        "Hostname": NAME,
        "Labels": dict(labels),
        "Entrypoint": ["/bin/sh", "-c", _SCRIPT, PRIVATE],
        "HostConfig": host,
    }


def _ulimit(name: str, most: int) -> JsonObject:
    return {"Name": name, "Soft": most, "Hard": most}


def _owned(user: str) -> str:
    """Return the options by which a directory in memory is a user's; all users' where its id is not known."""
    user_id, _, group = user.partition(":")
    if not user_id.isdecimal() or not (group or user_id).isdecimal():
        return "mode=1777"
    return f"mode=0700,uid={user_id},gid={group or user_id}"


def user_of(server: str, ids: tuple[int, int], *, rootless: bool, remapped: bool) -> tuple[int, int]:
    """Return as which user and group a server runs whose offer names none.

    Root gives each server an id of its own, as walls do. Any other user gives its own, for it reaches no
    socket of another one's.

    Args:
        server: its name.
        ids: user and group of the service.
        rootless: whether the engine is an ordinary user's, whose id is 0 in containers.
        remapped: whether user ids are others in containers.
    """
    if rootless:
        return 0, 0
    if ids[0] != 0:
        return ids
    own = _MAPPED if remapped else _IDS.of(server)
    return own, own


def listed(kinds: Sequence[ContainerKind]) -> str:
    """Return what the start says of what is between visitors."""
    networks = sorted({each.network for each in kinds})
    network = f", network: {', '.join(networks)}" if networks else ""
    network = ", no network" if networks == [NO_NETWORK] else network
    return f"a container each, with a read-only system, no privileges{network}"


def told(share: Share) -> str:
    """Return what each visitor may take, in words."""
    memory = f"{share.memory >> 20} MiB of memory, " if share.memory else ""
    cpus = f", {share.cpus:g} processors at most" if share.cpus else ""
    return (
        f"{memory}{share.disk >> 20} MiB of files in memory, {SMALL >> 20} MiB in each of /tmp, /var/tmp and"
        f" /dev/shm, {share.processes} processes and threads{cpus}"
    )
