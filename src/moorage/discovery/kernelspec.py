"""Kernelspecs on Jupyter's search path, and that of this interpreter itself.

Source: "Kernel specs" in jupyter_client's documentation, and jupyter_core's search path.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Literal

from moorage.command import python_module
from moorage.errors import KernelTypeNotFound
from moorage.json_types import JsonMapping
from moorage.kinds import IPYKERNEL, IPYKERNEL_ARGUMENTS, IPYKERNEL_METADATA, NO_KERNEL, Kind, kind_of
from moorage.regular import read_regular

if TYPE_CHECKING:
    # What only listing and other providers need costs the launch of a kernelspec nothing.
    from moorage.discovery.activation import Activation
    from moorage.places.base import Place

NATIVE = "python3"
_NAME = re.compile(r"[a-z0-9._-]+", re.IGNORECASE)
_PYTHONS = frozenset(
    {"python", f"python{sys.version_info.major}", f"python{sys.version_info.major}.{sys.version_info.minor}"}
)


@dataclass(frozen=True)
class KernelSpec:
    """One kernel type, as its kernel.json describes it.

    Attributes:
        name: what its provider calls it; the kernel type is ``PROVIDER/NAME``.
        argv: command with placeholders ``{connection_file}``, ``{resource_dir}`` and ``{prefix}``.
        env: added to the kernel's environment; ``${NAME}`` refers to the surrounding one and ``$$`` is one $,
            as string.Template has it.
        interrupt_mode: how the kernel wants to be interrupted.
        resource_dir: folder with logos, or None for the built-in type.
        provider: the name of the provider that found it.
        activation: the environment it runs in, entered before it starts; None for the surrounding one.
        place: where it runs; None for this machine, as the launch says.
    """

    name: str
    argv: tuple[str, ...]
    display_name: str
    language: str
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    interrupt_mode: Literal["signal", "message"] = "signal"
    metadata: JsonMapping = field(default_factory=dict)
    resource_dir: Path | None = None
    protocol_version: str = ""
    provider: str = "spec"
    activation: Activation | None = None
    place: Place | None = field(default=None, repr=False)

    @property
    def kernel_type(self) -> str:
        """The full name of this kernel type."""
        return f"{self.provider}/{self.name}"

    @cached_property
    def kind(self) -> Kind:
        """What is known about kernels of its kind."""
        return kind_of(self.argv, self.display_name)

    @property
    def called(self) -> str:
        """The shortest name that finds it: Jupyter's own go without their provider's."""
        return self.name if self.provider == "spec" else self.kernel_type

    def command(self, connection_file: Path, extra: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the command with its placeholders filled in.

        Args:
            connection_file: the file the kernel shall read.
            extra: further arguments for the kernel, appended.

        A bare ``python`` becomes this interpreter, as everywhere in Jupyter; every other program is
        looked up on the kernel's PATH.
        """
        names = {
            "connection_file": str(connection_file),
            "prefix": sys.prefix,
            "resource_dir": str(self.resource_dir or ""),
        }
        words = [re.sub(r"\{([A-Za-z0-9_]+)\}", lambda m: names.get(m[1], m[0]), word) for word in self.argv]
        if words and is_bare_python(words[0]):
            words[0] = sys.executable
        return (*words, *extra)

    def expanded(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return this kernelspec's own variables, ``${NAME}`` expanded from ``base``."""
        return {key: Template(value).safe_substitute(base) for key, value in self.env.items()}

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return ``base`` with this kernelspec's variables added, ``${NAME}`` expanded from ``base``.

        With an activation that is ``base`` as it is inside the environment; scripts of a conda environment
        may run for that, so call it where something may take a while.
        """
        if self.activation is not None:
            base = self.activation.environment(base)
        return {**base, **self.expanded(base)}


def is_bare_python(word: str) -> bool:
    """Tell whether a command's first word means the interpreter it is installed in, whichever that is."""
    return word in _PYTHONS


def starts_ipykernel(spec: KernelSpec) -> bool:
    """Tell whether a command starts the ipykernel of some Python, as it is: that Python itself."""
    found = python_module(spec.argv)
    return spec.argv[1:2] == ("-m",) and found is not None and found[0] in IPYKERNEL.modules


def data_directories(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the folders that may hold ``kernels/``, most important first."""
    found = [Path(part) for part in environ.get("JUPYTER_PATH", "").split(os.pathsep) if part]
    user = user_data_directory(environ)
    own = Path(sys.prefix) / "share" / "jupyter"
    found += [own, user] if _prefers_environment(environ) else [user, own]
    if sys.platform == "win32":
        if "PROGRAMDATA" in environ:
            found.append(Path(environ["PROGRAMDATA"]) / "jupyter")
    else:
        found += [Path("/usr/local/share/jupyter"), Path("/usr/share/jupyter")]
    return list(dict.fromkeys(found))


def user_data_directory(environ: Mapping[str, str]) -> Path:
    """Return the user's own folder of Jupyter's search path."""
    if directory := environ.get("JUPYTER_DATA_DIR"):
        return Path(directory)
    # jupyter_core's own rules, which differ from the platform's conventions on macOS.
    base = environ.get("XDG_DATA_HOME")
    folder = (Path(base) if base else Path.home() / ".local" / "share") / "jupyter"
    if sys.platform == "darwin":
        folder = Path.home() / "Library" / "Jupyter"
    if sys.platform == "win32" and "APPDATA" in environ:
        folder = Path(environ["APPDATA"]) / "jupyter"
    return folder


def _prefers_environment(environ: Mapping[str, str]) -> bool:
    if "JUPYTER_PREFER_ENV_PATH" in environ:
        return environ["JUPYTER_PREFER_ENV_PATH"].lower() not in {"no", "n", "false", "off", "0", "0.0"}
    if sys.prefix != sys.base_prefix:
        return True
    conda = environ.get("CONDA_PREFIX")
    return (
        bool(conda)
        and sys.prefix.startswith(conda or "")
        and environ.get("CONDA_DEFAULT_ENV", "base") != "base"
    )


def native() -> KernelSpec | None:
    """Return the kernel type of the interpreter moorage runs in, or None without ipykernel."""
    if importlib.util.find_spec("ipykernel") is None:
        return None
    return KernelSpec(
        name=NATIVE,
        argv=(sys.executable, *IPYKERNEL_ARGUMENTS),
        display_name="Python 3 (ipykernel)",
        language="python",
        metadata=dict(IPYKERNEL_METADATA),
    )


def folders(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """Yield name and folder of the kernelspecs on Jupyter's search path, most important first."""
    for directory in data_directories(environ):
        yield from folders_in(directory)


def folders_in(directory: Path, *, misnamed: bool = False) -> Iterator[tuple[str, Path]]:
    """Yield name and folder of the kernelspecs in one folder of Jupyter's search path.

    Args:
        directory: that folder.
        misnamed: those instead whose name Jupyter takes for none, such as one with a blank.
    """
    try:
        entries = sorted((directory / "kernels").iterdir())
    except OSError:
        return  # most of the search path does not exist on most machines
    for entry in entries:
        try:
            if bool(_NAME.fullmatch(entry.name)) != misnamed and (entry / "kernel.json").is_file():
                yield entry.name.lower(), entry
        except OSError:
            continue  # a folder that may not be looked into


def misnamed(environ: Mapping[str, str]) -> Iterator[tuple[str, Path, str, str]]:
    """Yield the kernelspecs that nothing finds for their folder's name: with why, and what to do."""
    for directory in data_directories(environ):
        for name, folder in folders_in(directory, misnamed=True):
            why = f"the folder's name {folder.name!r} is none that Jupyter takes"
            good = re.sub(r"[^a-z0-9._-]+", "-", name).strip("-") or "kernel"
            yield name, folder, why, f"Use letters, digits, dots, - and _ only: rename it to {good}"


def read(name: str, folder: Path) -> KernelSpec:
    """Read one kernel.json.

    Args:
        name: of the kernelspec.
        folder: the one that holds kernel.json.

    Raises:
        KernelTypeNotFound: it is broken.
    """
    path = folder / "kernel.json"
    try:
        content = json.loads(read_regular(path))
        argv = content["argv"]
        if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
            raise TypeError("argv is no list of words")  # noqa: TRY301 - reported like all that is wrong with it
        metadata = content.get("metadata") or {}
        return KernelSpec(
            name=name,
            argv=tuple(argv),
            display_name=str(content.get("display_name") or name),
            language=str(content.get("language") or "").lower(),
            env={str(key): str(value) for key, value in (content.get("env") or {}).items()},
            interrupt_mode="message" if content.get("interrupt_mode") == "message" else "signal",
            metadata=metadata if isinstance(metadata, dict) else {},
            resource_dir=folder,
            protocol_version=str(content.get("kernel_protocol_version") or ""),
            activation=activation_of(argv[0], metadata),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise KernelTypeNotFound(
            f"the kernelspec {name} cannot be read",
            why=f"{path}: {type(error).__name__}: {error}",
            do="Reinstall that kernel",
        ) from error


def activation_of(program: str, metadata: object) -> Activation | None:
    """Return the environment that a kernelspec wants to be entered before it starts; None for most.

    Args:
        program: the first word of its command, which lies in that environment.
        metadata: of the kernelspec; ``{"moorage": {"activate": true}}`` asks for it.

    Raises:
        TypeError: it is asked for, and the program lies in no environment.
    """
    ours = metadata.get("moorage") if isinstance(metadata, dict) else None
    if not isinstance(ours, dict) or ours.get("activate") is not True:
        return None
    from moorage.discovery.activation import around

    if (found := around(Path(program))) is None:
        raise TypeError(f"it is to be activated, and {program} lies in no environment")
    return found


def names(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names of all kernel types of this provider, most important first."""
    found = dict.fromkeys(name for name, _ in folders(environ))
    if native() is not None:
        found.setdefault(NATIVE)
    return list(found)


def get(name: str, environ: Mapping[str, str] = os.environ) -> KernelSpec | None:
    """Return the kernel type of this provider called ``name`` (``python3``), or None.

    Raises:
        KernelTypeNotFound: there is one, and it cannot be read.
    """
    wanted = name.lower()
    for found, folder in folders(environ):
        if found == wanted:
            return read(found, folder)
    return native() if wanted == NATIVE else None


def find(name: str, environ: Mapping[str, str] = os.environ) -> KernelSpec:
    """Return the kernel type of this provider called ``name`` (``python3`` or ``spec/python3``).

    Raises:
        KernelTypeNotFound: with near names, when there is none.
    """
    wanted = name.removeprefix("spec/").lower()
    if (spec := get(wanted, environ)) is not None:
        return spec
    for other, folder, why, do in misnamed(environ):
        if other == wanted:
            raise KernelTypeNotFound(f"the kernelspec {folder} cannot be used", why=why.capitalize(), do=do)
    known = names(environ)
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
    if near:
        advice = f"Did you mean {' or '.join(near)}?"
    elif known:
        advice = f"Here are: {', '.join(known)}"
    else:
        advice = NO_KERNEL
    raise KernelTypeNotFound(f"no kernel type is called {name}", do=advice)


def find_by_language(language: str, environ: Mapping[str, str] = os.environ) -> KernelSpec | None:
    """Return the first kernel type for a language, Python's being this interpreter; None if there is none."""
    wanted = language.lower()
    if wanted in {"python", "ipython", "ipython3"}:
        wanted = "python"
        if (spec := native()) is not None:
            return spec
    for name, folder in folders(environ):
        try:
            spec = read(name, folder)
        except KernelTypeNotFound:
            continue  # a broken kernelspec elsewhere is no reason to refuse this one
        if spec.language == wanted:
            return spec
    return None
