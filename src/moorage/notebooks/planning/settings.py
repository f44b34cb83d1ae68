"""What a run of ``moorage render`` is asked to do: flags, configuration files and notebook metadata.

Configuration is the nearest ``moorage.toml``, or ``pyproject.toml`` with ``[tool.moorage]``, from the folder
that holds all sources upward, else from the working directory upward (of two, ``moorage.toml`` wins)::

    pairs = "text"                     # of x.py beside x.ipynb: "text", "ipynb" or "both"
    documents = ["demos/*.py"]         # scripts that count in walks although nothing marks them
    exclude = ["drafts"]               # left out of walks
    [render]                           # every flag under its own name, with "-" or "_"
    cell-timeout = "10m"
    [notebook."demos/base.py"]         # by path or glob, relative to the file's folder
    memory = "4GiB"

What is nearer to the command line wins: flags, then configuration, then the notebook's own
``metadata.moorage``. ``param`` and ``env`` are merged key by key; every other value replaces. Deadlines,
retries and kernel of a single notebook beat those of the run. All merging is done here: by :func:`merge` for
the run, by :meth:`Configuration.notebook` for one notebook of it.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct, field

from moorage.configuration import nearest_table
from moorage.discovery.settings import parse as parse_discovery
from moorage.errors import ConfigurationError, UsageError
from moorage.json_types import JsonMapping, JsonObject
from moorage.notebooks.globs import matches
from moorage.notebooks.planning import values as parse
from moorage.notebooks.planning.values import Need
from moorage.notebooks.records import repr_without
from moorage.notebooks.relative import named_from

Pairs = Literal["text", "ipynb", "both"]


class RenderSettings(Struct, frozen=True):
    """Every flag of ``moorage render``, under its own name.

    Attributes:
        jobs: how many notebooks at once; None for the cores this process may use.
        timeout, cell_timeout: seconds for a notebook and for a cell, 0 for no deadline.
        start_timeout: seconds until a kernel must have answered, 0 for no deadline.
        cache: folder of the cache; None for its usual place.
        report, junit, json, bundle: files to write; ``json`` may be ``-`` for stdout.
    """

    out: Path | None = None
    jobs: int | None = None
    to: tuple[str, ...] = ("ipynb",)
    kernel: str | None = None
    timeout: float = 0.0
    cell_timeout: float = 0.0
    start_timeout: float = 60.0
    fail_fast: bool = False
    allow_errors: bool = False
    retries: int = 1
    cache: Path | None = None
    no_cache: bool = False
    force: bool = False
    overwrite: bool = False
    artifacts: tuple[str, ...] = ()
    param: JsonMapping = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    isolate: Literal["none", "net"] = "none"
    rendezvous: Literal["auto", "handshake", "self-bind", "hold", "ipc"] = "auto"
    remove_cells: tuple[str, ...] = ()
    kernel_arg: tuple[str, ...] = ()
    bundle: Path | None = None
    no_fork: bool = False
    display: bool = False
    report: Path | None = None
    junit: Path | None = None
    json: Path | None = None
    cluster: str | None = None
    quiet: bool = False
    plain: bool = False

    def __repr__(self) -> str:
        return repr_without(self, "env")


class NotebookSettings(Struct, frozen=True):
    """What counts for one notebook: what its metadata, the configuration and the flags say.

    Attributes:
        needs: what must be there before it runs; paths are relative to the notebook's folder.
        outputs: files it makes, paths or globs relative to its folder.
        inputs: files it reads, paths or globs relative to its folder: part of the cache's key.
        memory: bytes it will use, 0 where nothing is said.
        cores: how many of the parallel places it takes.
        optional: where its kernel is not installed it is skipped, and the run is well all the same.
        timeout, cell_timeout, start_timeout: seconds, see :class:`RenderSettings`.
        kernel: kernel type to run it in, whatever the document says.
        artifacts: patterns of the files to collect beside its output, those for all notebooks too.
    """

    needs: tuple[Need, ...] = ()
    outputs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    memory: int = 0
    cores: int = 1
    optional: bool = False
    timeout: float = 0.0
    cell_timeout: float = 0.0
    start_timeout: float = 60.0
    kernel: str | None = None
    param: JsonMapping = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    retries: int = 1
    artifacts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return repr_without(self, "env")

    @property
    def collected(self) -> tuple[str, ...]:
        """Patterns of all files that are collected beside its output."""
        return (*self.artifacts, *self.outputs)


_OF_ALL: Final = ("timeout", "cell_timeout", "start_timeout", "retries", "kernel")
_MERGED: Final = ("param", "env")


class Configuration(Struct, frozen=True):
    """What the configuration file says; ``path`` is None where there is none.

    Attributes:
        root: folder of the file (without one, where the search began): patterns are relative to it.
        render: values for :class:`RenderSettings`, checked.
        notebooks: patterns and their values for :class:`NotebookSettings`, checked, in the file's order.
    """

    path: Path | None
    root: Path
    render: JsonMapping = field(default_factory=dict)
    notebooks: tuple[tuple[str, JsonMapping], ...] = ()
    pairs: Pairs = "text"
    documents: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def notebook(
        self, path: Path, metadata: object = None, run: RenderSettings | None = None
    ) -> NotebookSettings:
        """Return the settings of the notebook at the absolute ``path``.

        Args:
            path: its source.
            metadata: its ``metadata.moorage``, if it has any. The configuration wins over it; among the
                configuration's tables a later glob wins over an earlier one and an exact path over all.
            run: what is said of all notebooks; None for the defaults.

        Raises:
            ConfigurationError: the metadata says something that cannot be.
        """
        name = named_from(self.root, path)
        own = {}
        if metadata is not None:
            own = _table(_NOTEBOOK, metadata, f"{path}: metadata.moorage", path.parent)
        globs = [values for pattern, values in self.notebooks if pattern != name and matches(name, pattern)]
        exact = [values for pattern, values in self.notebooks if pattern == name]
        return _for_one(functools.reduce(_overlaid, [*globs, *exact], own), run or RenderSettings())


def load_configuration(start: Path) -> Configuration:
    """Find and read the configuration that counts in the folder ``start``.

    Raises:
        ConfigurationError: the file cannot be read, or says something that cannot be. Nothing was done.
    """
    start = start.absolute()
    start = start.parent if start.is_file() else start
    found = nearest_table(start)
    return Configuration(path=None, root=start) if found is None else _configuration(*found)


def configuration_for(sources: Sequence[str | Path], cwd: Path) -> Configuration:
    """Return the configuration that counts for a run.

    Args:
        sources: files, folders and globs, relative to ``cwd``; what does not exist is left to others.
        cwd: absolute working directory; its configuration counts where the sources have none.

    Raises:
        ConfigurationError: see :func:`load_configuration`.
    """
    paths = [Path(os.path.normpath(cwd / source)) for source in sources]
    folders = [path if path.is_dir() else path.parent for path in paths if path.exists()]
    if folders:
        found = load_configuration(Path(os.path.commonpath(folders)))
        if found.path is not None:
            return found
    return load_configuration(cwd)


def merge(flags: JsonMapping, configuration: Configuration) -> RenderSettings:
    """Return the settings of a run: flags over the configuration over the defaults.

    Args:
        flags: values by flag name with underscores; None is a flag not given. Paths are kept as given;
            durations may be texts, ``param`` and ``env`` tables or lists of ``"K=V"``.
        configuration: what the configuration file says; its paths are absolute.

    Raises:
        UsageError: a flag has a value that cannot be.
    """
    values: JsonObject = {}
    for key, value in flags.items():
        if value is None:
            continue
        try:
            values[key] = _RENDER[key](value, Path())
        except ValueError as error:
            typed = value if isinstance(value, list | tuple) and key != "env" else [value]
            words = " ".join(_shown(each, key) for each in typed)
            what = f"--{key.replace('_', '-')} {words} cannot be"
            raise UsageError(what, why=f"It must be {error}") from None
    if "cache" in values:  # naming one beats the configuration's "none"
        values.setdefault("no_cache", False)
    return RenderSettings(**_overlaid(configuration.render, values))


def _overlaid(under: JsonMapping, over: JsonMapping) -> JsonObject:
    merged = {key: {**under[key], **over[key]} for key in _MERGED if key in under and key in over}
    return {**under, **over, **merged}


def _for_one(own: JsonMapping, run: RenderSettings) -> NotebookSettings:
    """Merge what is said of one notebook with what is said of all."""
    common = {key: getattr(run, key) for key in _OF_ALL}
    merged = {key: {**own.get(key, {}), **getattr(run, key)} for key in _MERGED}
    artifacts = (*own.get("artifacts", ()), *run.artifacts)
    return NotebookSettings(**{**common, **own, **merged, "artifacts": artifacts})


def _shown(value: object, key: str = "") -> str:
    if key == "env":  # may hold secrets
        return "(not shown)"
    return value if isinstance(value, str) and value else repr(value)


def _configuration(path: Path, table: object) -> Configuration:
    prefix = "" if path.name == "moorage.toml" else "tool.moorage."
    values = _table(_TOP, table, f"{path}: {prefix}".rstrip(": ."), path.parent)
    # Discovery reads its own; wrong is wrong all the same.
    parse_discovery(values.pop("discovery", {}), f"{path}: {prefix}discovery", path.parent)
    values.pop("temp", None)  # the room beside this one reads it
    render = _table(_RENDER, values.pop("render", {}), f"{path}: {prefix}render", path.parent)
    notebooks = tuple(
        (
            pattern.removeprefix("./"),
            _table(_NOTEBOOK, each, f'{path}: {prefix}notebook."{pattern}"', path.parent),
        )
        for pattern, each in values.pop("notebook", {}).items()
    )
    return Configuration(path=path, root=path.parent, render=render, notebooks=notebooks, **values)


def _table(parsers: Mapping[str, parse.Parser], table: object, where: str, base: Path) -> JsonObject:
    """Check one table; ``where`` names file and table."""
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where} cannot be {_shown(table)}", why="It must be a table")
    values = {}
    for written, value in table.items():
        key = str(written).replace("-", "_")
        if key not in parsers:
            near = difflib.get_close_matches(key, parsers, n=3)
            do = f"Did you mean {' or '.join(near)}?" if near else f"Known are {', '.join(sorted(parsers))}"
            raise ConfigurationError(f"{where} has no {written}", do=do)
        try:
            values[key] = parsers[key](value, base)
        except ValueError as error:
            what = f"{where}: {written} = {_shown(value, key)} cannot be"
            raise ConfigurationError(what, why=f"It must be {error}") from None
    return values


_RENDER: Mapping[str, parse.Parser] = {
    **dict.fromkeys(("out", "cache", "bundle", "report", "junit", "json"), parse.path),
    **dict.fromkeys(("kernel", "cluster"), parse.text),
    **dict.fromkeys(("timeout", "cell_timeout", "start_timeout"), parse.seconds),
    **dict.fromkeys(("fail_fast", "allow_errors", "no_cache", "force", "no_fork", "overwrite"), parse.flag),
    **dict.fromkeys(("display", "quiet", "plain"), parse.flag),
    **dict.fromkeys(("to", "remove_cells"), parse.listed),
    "artifacts": parse.globs,
    "kernel_arg": parse.texts,
    "jobs": parse.count(1),
    "retries": parse.count(0),
    "param": parse.param,
    "env": parse.env,
    "isolate": parse.choice("none", "net"),
    "rendezvous": parse.choice("auto", "handshake", "self-bind", "hold", "ipc"),
}

_NOTEBOOK: Mapping[str, parse.Parser] = {
    **dict.fromkeys(("outputs", "inputs", "artifacts"), parse.globs),
    **dict.fromkeys(("timeout", "cell_timeout", "start_timeout"), parse.seconds),
    "needs": parse.needs,
    "memory": parse.size,
    "cores": parse.count(1),
    "optional": parse.flag,
    "kernel": parse.text,
    "param": parse.param,
    "env": parse.env,
    "retries": parse.count(0),
}

_TOP: Mapping[str, parse.Parser] = {
    "pairs": parse.choice("text", "ipynb", "both"),
    **dict.fromkeys(("documents", "exclude"), parse.globs),
    **dict.fromkeys(("render", "notebook", "discovery", "temp"), parse.tables),
}
