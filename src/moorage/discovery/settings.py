"""The configuration of discovery: what to search, to list and to leave out.

In moorage.toml::

[discovery]
paths = ["~/envs", "/srv/environments"]    # environments, or folders of them
include = ["spec/*", "env/.venv"]          # list these alone
exclude = ["env/old-*", "/opt/conda/*"]    # leave these out
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from moorage.configuration import nearest_table
from moorage.discovery.base import KernelType
from moorage.errors import ConfigurationError

_KEYS = ("paths", "include", "exclude")


class DiscoverySettings(msgspec.Struct, frozen=True):
    """The table ``[discovery]``.

    Attributes:
        paths: absolute: environments, or folders whose entries are.
        include: globs; when there are any, only what matches one is listed.
        exclude: globs; what matches one is not listed. ``*`` matches ``/`` too.
    """

    paths: tuple[Path, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def lists(self, kernel_type: KernelType) -> bool:
        """Tell whether a kernel type belongs in lists: by its name, or by where it was found."""

        def any_of(patterns: tuple[str, ...]) -> bool:
            texts = (kernel_type.name, kernel_type.where)
            return any(fnmatchcase(text, each) for text in texts if text for each in patterns)

        return not any_of(self.exclude) and (not self.include or any_of(self.include))


def load_settings(directory: Path) -> DiscoverySettings:
    """Return the settings that apply in a folder.

    Args:
        directory: absolute.

    Raises:
        ConfigurationError: it cannot be read, or says something that cannot be.
    """
    found = nearest_table(directory)
    if found is None:
        return DiscoverySettings()
    path, table = found
    if not isinstance(table, Mapping) or "discovery" not in table:
        return DiscoverySettings()  # what else is wrong there its own readers report
    prefix = "" if path.name == "moorage.toml" else "tool.moorage."
    return parse(table["discovery"], f"{path}: {prefix}discovery", path.parent)


def parse(table: object, where: str, base: Path) -> DiscoverySettings:
    """Check the table.

    Args:
        table: what stands there.
        where: file and table, for complaints.
        base: folder that relative paths belong to.

    Raises:
        ConfigurationError: it says something that cannot be.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where} cannot be {table!r}", why="It must be a table")
    lists: dict[str, tuple[str, ...]] = {}
    for key, value in table.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            do = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(_KEYS)}"
            raise ConfigurationError(f"{where} has no {key}", do=do)
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list | tuple) or not all(isinstance(one, str) and one for one in values):
            raise ConfigurationError(
                f"{where}: {key} = {value!r} cannot be", why="It must be a text or a list of texts"
            )
        lists[key] = tuple(values)
    paths = tuple(base / os.path.expanduser(one) for one in lists.pop("paths", ()))  # noqa: PTH111 - leaves what cannot be expanded, where Path.expanduser raises
    # Globs may be paths, too.
    globs = {key: tuple(os.path.expanduser(one) for one in each) for key, each in lists.items()}  # noqa: PTH111 - as above
    return DiscoverySettings(paths=paths, **globs)
