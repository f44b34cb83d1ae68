"""The tables ``[temp.offers.NAME]`` of a configuration: what they say, checked, and nothing looked at yet."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct

from moorage.configuration import nearest_table
from moorage.errors import ConfigurationError
from moorage.json_types import JsonObject
from moorage.plan.egress import EgressList, egress_list
from moorage.plan.visits import OfferName
from moorage.temp.commands import KNOWN
from moorage.temp.container_kinds import AskedContainer
from moorage.temp.shares import (
    LEAST_CPUS,
    LEAST_DISK,
    LEAST_MEMORY,
    LEAST_PROCESSES,
    MOST_CPUS,
    MOST_PROCESSES,
    AskedShare,
    bytes_of,
    written,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_NONE: Mapping[str, str] = MappingProxyType({})


class OfferTable(Struct, frozen=True):
    """One table; a value that it does not give is empty or 0.

    Attributes:
        where: file and table, for complaints.
        base: folder that its paths belong to.
        title, description: what visitors read.
        content: a folder or the address of a repository, as it is written.
        branch: of the repository.
        open: file of the content that opens first.
        server: one of :data:`~moorage.temp.commands.KNOWN`.
        command: a command line, in place of a server.
        python: absolute path of an environment, or of an interpreter.
        requirements: packages that are added to that environment.
        requirements_file: absolute path of a file with more of them; None for none.
        env: variables of its servers.
        capacity: how many servers there may be at once.
        spares: how many are kept ready; None for as many as the service says.
        invited_only: whether it takes an invitation to get one; None for what the service says.
        share: what is asked for each of its visitors.
        sleep: seconds without use after which its servers are put to sleep; None for what the service says.
        brake_after: seconds of full load without a visitor after which a share is lowered; None for what the
            service says.
        egress: hosts that its visitors may reach; None for those that the service says.
        container: what is asked for of its containers.
    """

    where: str
    base: Path
    title: str = ""
    description: str = ""
    content: str = ""
    branch: str = ""
    open: str = ""
    server: str = ""
    command: str = ""
    python: Path | None = None
    requirements: tuple[str, ...] = ()
    requirements_file: Path | None = None
    env: Mapping[str, str] = _NONE
    capacity: int = 0
    spares: int | None = None
    invited_only: bool | None = None
    share: AskedShare = AskedShare()
    sleep: float | None = None
    brake_after: float | None = None
    egress: EgressList | None = None
    container: AskedContainer = AskedContainer()

    @property
    def of_processes(self) -> list[str]:
        """Keys that it has, and that go with processes of this machine alone."""
        given = {
            "python": self.python is not None,
            "requirements": bool(self.requirements or self.requirements_file),
            "sleep": bool(self.sleep),
            "egress": bool(self.egress),
        }
        return [key for key, is_given in given.items() if is_given]


def find_tables(directory: Path) -> tuple[Path, dict[OfferName, OfferTable]] | None:
    """Return the configuration that counts in a folder and its offers; None where it has none.

    Args:
        directory: absolute.

    Raises:
        ConfigurationError: it cannot be read, or says something that cannot be.
    """
    found = nearest_table(directory)
    if found is None or not isinstance(found[1], Mapping) or "temp" not in found[1]:
        return None
    path, table = found
    prefix = "" if path.name == "moorage.toml" else "tool.moorage."
    offers = parse_tables(table["temp"], f"{path}: {prefix}temp", path.parent)
    return (path, offers) if offers else None


def parse_tables(table: object, where: str, base: Path) -> dict[OfferName, OfferTable]:
    """Check the table ``[temp]``.

    Args:
        table: what stands there.
        where: file and table, for complaints.
        base: folder that relative paths belong to.

    Raises:
        ConfigurationError: it says something that cannot be.
    """
    own = _known(table, where, ("offers",))
    offers = own.get("offers", {})
    if not isinstance(offers, Mapping):
        raise ConfigurationError(f"{where}.offers cannot be {offers!r}", why="It must be tables by name")
    found = {}
    for name, each in offers.items():
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{where}.offers has {name!r}, which cannot be a name",
                why="It stands in links: letters, digits, '.', '_' and '-', at most 64",
            )
        found[OfferName(name)] = _parsed(each, f"{where}.offers.{name}", base)
    return found


def _parsed(table: object, where: str, base: Path) -> OfferTable:
    values: JsonObject = {}
    for key, value in _known(table, where, tuple(_CHECKS)).items():
        try:
            values[key] = _CHECKS[key](value)
        except ValueError as error:
            shown = "(not shown)" if key == "env" else repr(value)  # may hold secrets
            raise ConfigurationError(
                f"{where}: {key} = {shown} cannot be", why=f"It must be {error}"
            ) from None
    if "server" in values and "command" in values:
        raise ConfigurationError(f"{where}: command does not go with server")
    if "python" in values:
        values["python"] = base / os.path.expanduser(values["python"])  # noqa: PTH111 - leaves what cannot be expanded, where Path.expanduser raises
    file = values.get("requirements")
    if isinstance(file, str):
        values["requirements_file"] = base / os.path.expanduser(file)  # noqa: PTH111 - as above
        del values["requirements"]
    asked = {key: values.pop(key) for key in _SHARE if key in values}
    if asked:
        values["share"] = AskedShare(**asked)
    of_containers = {key: values.pop(key) for key in _CONTAINER if key in values}
    if of_containers:
        values["container"] = AskedContainer(**of_containers)
    return OfferTable(where, base, **values)


def _known(table: object, where: str, keys: tuple[str, ...]) -> JsonObject:
    """Return a table with all its keys known, ``-`` read as ``_``."""
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where} cannot be {table!r}", why="It must be a table")
    values = {}
    for typed, value in table.items():
        key = str(typed).replace("-", "_")
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=2)
            do = f"Did you mean {' or '.join(near)}?" if near else f"Known are {', '.join(sorted(keys))}"
            raise ConfigurationError(f"{where} has no {typed}", do=do)
        values[key] = value
    return values


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("a text")
    return value


def _server(value: object) -> str:
    if value not in KNOWN:
        raise ValueError(" or ".join(repr(name) for name in KNOWN))
    return str(value)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("a whole number, 1 or more")
    return value


def _count_or_none(value: object) -> int:
    if value == 0 and not isinstance(value, bool):
        return 0
    try:
        return _count(value)
    except ValueError:
        raise ValueError("a whole number, 0 or more") from None


def _size(least: int) -> Callable[[object], int]:
    def checked(value: object) -> int:
        number = isinstance(value, int) and not isinstance(value, bool)
        size = bytes_of(str(value)) if number or isinstance(value, str) else 0
        if size < least:
            raise ValueError(f"a number of bytes from {written(least)} on, as '512M' or '2G'")
        return size

    return checked


def _processes(value: object) -> int:
    number = value if isinstance(value, int) and not isinstance(value, bool) else 0
    if not LEAST_PROCESSES <= number <= MOST_PROCESSES:
        raise ValueError(f"a whole number, {LEAST_PROCESSES} or more: a server with a kernel needs that")
    return number


def _cpus(value: object) -> float:
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
    if not LEAST_CPUS <= number <= MOST_CPUS:
        raise ValueError(f"a number of processors, {LEAST_CPUS} or more")
    return number


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 - told as every other value that cannot be
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
        raise ValueError("seconds, 0 or more")
    return float(value)


def _requirements(value: object) -> str | tuple[str, ...]:
    if isinstance(value, str) and value.strip():
        return value
    try:
        return _texts(value)
    except ValueError:
        raise ValueError("a list of texts, or the name of a file") from None


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
        raise ValueError("a list of texts")
    return tuple(value)


def _hosts(value: object) -> EgressList:
    return egress_list([value] if isinstance(value, str) else _texts(value))


def _variables(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("a table of texts")  # noqa: TRY004 - told as every other value that cannot be
    for name, text in value.items():
        if not name or "=" in name or not isinstance(text, str) or "\0" in name + text:
            raise ValueError("a table of texts")
    return dict(value)


_CHECKS: Mapping[str, Callable[[object], object]] = {
    **dict.fromkeys(("title", "description", "content", "branch", "open", "command", "python"), _text),
    "server": _server,
    "requirements": _requirements,
    "env": _variables,
    "capacity": _count,
    "spares": _count_or_none,
    "invited_only": _flag,
    "memory": _size(LEAST_MEMORY),
    "disk": _size(LEAST_DISK),
    "processes": _processes,
    "cpus": _cpus,
    **dict.fromkeys(("sleep", "brake_after"), _seconds),
    "egress": _hosts,
    **dict.fromkeys(("image", "user", "network"), _text),
    "mounts": _texts,
}
_CONTAINER = ("image", "user", "network", "mounts")
_SHARE = ("memory", "disk", "processes", "cpus")
