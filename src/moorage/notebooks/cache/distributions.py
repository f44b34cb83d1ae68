"""Which distributions are installed in which version, from directory listings.

``importlib.metadata`` reads a METADATA file per distribution; the names of the ``*.dist-info`` directories
say the same at the price of one listing (https://packaging.python.org/specifications/recording-installed-packages/).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.regular import digest_regular, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_EGG_TAIL = re.compile(r"-py\d[\d.]*(-.*)?$")


def canonical(name: str) -> str:
    """Return the normalised name of a distribution (PEP 503), with ``-`` for runs of ``-_.``."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Distributions:
    """What is installed; a site directory is listed again only when its time of change moves."""

    def __init__(self) -> None:
        self._listed: dict[str, tuple[int, dict[str, list[str]]]] = {}
        self._claims: dict[str, tuple[int, dict[str, set[str]]]] = {}
        self._versions: dict[tuple[str, str], str] = {}

    def version(self, name: str, sites: Iterable[str]) -> str:
        """Return the version of a distribution, or an empty string; several where several are installed.

        A distribution that came from a directory or a repository, not from an index, may change without
        a new version: its list of files (RECORD, with their digests) is part of its version here.

        Args:
            name: normalised name.
            sites: site directories, in the order of ``sys.path``.
        """
        return " | ".join(
            self._version(site, entry) for site in sites for entry in self._list(site)[1].get(name, ())
        )

    def owners(self, site: str, top: str, *, whole: bool = True) -> set[str]:
        """Return the normalised names of the distributions that bring a top-level module.

        Args:
            site: the directory the module was found in.
            top: its name.
            whole: False for a namespace package, which several distributions may share.
        """
        name = canonical(top)
        if whole and name in self._list(site)[1]:
            return {name}
        return self._claimed(site).get(top, set())

    def mark(self, sites: Iterable[str]) -> tuple[int, ...]:
        """Return what changes when something is installed or removed: the directories' times, in ns."""
        return tuple(self._list(site)[0] for site in sites)

    def _list(self, site: str) -> tuple[int, dict[str, list[str]]]:
        try:
            mtime = os.stat(site).st_mtime_ns  # noqa: PTH116 - hot
        except OSError:
            return (0, {})
        known = self._listed.get(site)
        if known is not None and known[0] == mtime:
            return known
        names: dict[str, list[str]] = {}
        for entry in sorted(os.listdir(site)):  # noqa: PTH208 - hot
            if entry.endswith((".dist-info", ".egg-info")):
                name = entry.rpartition(".")[0].partition("-")[0]
                names.setdefault(canonical(name), []).append(entry)
        self._versions = {key: text for key, text in self._versions.items() if key[0] != site}
        self._listed[site] = (mtime, names)
        return self._listed[site]

    def _version(self, site: str, entry: str) -> str:
        known = self._versions.get((site, entry))
        if known is not None:
            return known
        stem, _, kind = entry.rpartition(".")
        version = stem.partition("-")[2]
        if kind == "egg-info":
            version = _EGG_TAIL.sub("", version)
        if Path(site, entry, "direct_url.json").exists():
            version += f" {_digest(Path(site, entry, 'RECORD'))}"
        self._versions[site, entry] = version
        return version

    def _claimed(self, site: str) -> dict[str, set[str]]:
        mtime, names = self._list(site)
        known = self._claims.get(site)
        if known is not None and known[0] == mtime:
            return known[1]
        claims: dict[str, set[str]] = {}
        for name, entries in names.items():
            for entry in entries:
                for top in _tops(Path(site, entry)):
                    claims.setdefault(top, set()).add(name)
        self._claims[site] = (mtime, claims)
        return claims


def _tops(info: Path) -> set[str]:
    """Return the top-level names a distribution brings."""
    try:
        if (info / "RECORD").exists():
            lines = read_text(info / "RECORD").splitlines()
            firsts = {line.lstrip('"').partition(",")[0].partition("/")[0] for line in lines}
            return {first.partition(".")[0] for first in firsts if first and not first.startswith(".")}
        return set(read_text(info / "top_level.txt").split())
    except OSError:
        return set()


def _digest(path: Path) -> str:
    try:
        return digest_regular(path)[:16]
    except OSError:
        return ""
