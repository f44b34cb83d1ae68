"""Kernel types of the ``env`` provider: the kernels inside virtual environments, started activated.

Called ``env/NAME`` for the Python of an environment and ``env/NAME/KERNEL`` for the other kernels in it.
Where two environments have one name the nearer keeps it, and the other is called after its folder too.
``env/PATH``, with a path instead of a name, is the environment that lies there.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from moorage.discovery import kernelspec
from moorage.discovery.activation import Activation, Kind
from moorage.discovery.base import Around, KernelType, Lack, Provider, from_blocking
from moorage.discovery.environment_folders import (
    EnvironmentFolder,
    environment_folders,
    trusted_environment_at,
)
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import KernelTypeNotFound
from moorage.kinds import IPYKERNEL_ARGUMENTS, IPYKERNEL_METADATA
from moorage.regular import read_text
from moorage.trust import Distrust

NAME = "env"

_KINDS: dict[str, Kind] = {"conda": "conda", "pixi": "conda", "pyenv": "python"}


def look(around: Around) -> list[KernelType]:
    """Return all kernel types of this provider, nearest first.

    Left out, though they can be asked for by name: interpreters of pyenv without ipykernel, and the
    kernelspecs of the environment moorage runs in, which Jupyter's search path has already.
    """
    found: list[KernelType] = []
    for name, environment in _names(around):
        types = _types(name, environment)
        if environment.prefix == Path(sys.prefix):
            types = [each for each in types if each.spec.name == name]
        if environment.maker == "pyenv":
            types = [each for each in types if each.lack is None]
        found += types
    return found


def get(name: str, around: Around) -> KernelType | None:
    """Return the kernel type of a name without ``env/``, or of an environment's path; None if there is none.

    Args:
        name: ``NAME``, ``NAME/KERNEL``, or an absolute path or one that begins with ``./``, ``../`` or ``~``.
        around: from where to look; relative paths count from its directory.
    """
    if re.match(r"/|\.\.?/|~|[A-Za-z]:[\\/]", name):
        path = around.directory / os.path.expanduser(name)  # noqa: PTH111 - leaves what cannot be expanded
        return _at_path(Path(os.path.normpath(path)))
    for known, environment in _names(around):
        if name == known or name.startswith(f"{known}/"):
            for kernel_type in _types(known, environment):
                if kernel_type.spec.name == name:
                    return kernel_type
    return None


def provider() -> Provider:
    """Return this provider, as the entry point asks for it."""
    return from_blocking(NAME, look, get=get)


def _at_path(path: Path) -> KernelType | None:
    """Find an environment by its path, or a kernel in it by PATH/KERNEL."""
    for prefix in (path, path.parent):
        if (environment := trusted_environment_at(prefix)) is not None:
            wanted = {str(path), str(prefix)} if prefix == path else {str(path)}
            return next((one for one in _types(str(prefix), environment) if one.spec.name in wanted), None)
    return None


def _names(around: Around) -> Iterator[tuple[str, EnvironmentFolder]]:
    taken: set[str] = set()
    for environment in environment_folders(around):
        names = _candidates(environment)
        name = next((one for one in names if one not in taken), str(environment.prefix))
        taken.add(name)
        yield name, environment


def _candidates(environment: EnvironmentFolder) -> Iterator[str]:
    """Yield the names an environment may have, shortest first: longer ones name its folders too."""
    name = environment.name
    yield name
    folder = environment.prefix if name == "base" else environment.prefix.parent
    while folder != folder.parent:
        # A folder "envs" tells no environments apart.
        if folder.name not in {"envs", ".pixi", "versions"}:
            name = f"{folder.name}/{name}"
            yield name
        folder = folder.parent


def _types(name: str, environment: EnvironmentFolder) -> list[KernelType]:
    """Return what can run in an environment: its Python first."""
    if environment.distrust is not None:
        return [_refused(name, environment, environment.distrust)]
    found = []
    activation = Activation(
        environment.prefix, _KINDS.get(environment.maker, "venv"), environment.name, _pixis(environment)
    )
    python = _python(environment, activation)
    if (own := _python_type(name, environment, activation, python)) is not None:
        found.append(own)
    for kernel, folder in kernelspec.folders_in(environment.prefix / "share" / "jupyter"):
        try:
            spec = kernelspec.read(kernel, folder)
        except KernelTypeNotFound:
            continue  # a list of kernel types reports no broken kernelspec of another environment
        if kernelspec.starts_ipykernel(spec):  # the environment's Python itself
            if own is not None and own.spec.resource_dir is None:
                own = found[0] = replace(own, spec=replace(own.spec, resource_dir=folder))
            continue
        found.append(_inner_type(f"{name}/{kernel}", spec, environment, activation, python))
    return found


def _refused(name: str, environment: EnvironmentFolder, reason: Distrust) -> KernelType:
    """Return the Python of an environment that another user may write to, of which nothing is read."""
    spec = KernelSpec(name, (), f"Python ({name})", "python", provider=NAME)
    return KernelType(spec, where=str(environment.prefix), lack=Lack(reason.why, reason.do))


def _pixis(environment: EnvironmentFolder) -> Path | None:
    return environment.project if environment.maker == "pixi" else None


def _python_type(
    name: str, environment: EnvironmentFolder, activation: Activation, python: Path | None
) -> KernelType | None:
    if python is None:
        return None
    lack = None
    if not python.exists():
        lack = Lack(f"its interpreter is gone: {_dangling(python)}", _make_anew(environment))
    elif not has_ipykernel(environment.prefix):
        lack = Lack("it has no ipykernel", f"Type: {install_command(environment)}")
    version = python_version(environment)
    spec = KernelSpec(
        name=name,
        argv=(str(python), *IPYKERNEL_ARGUMENTS),
        display_name=f"Python {version} ({name})" if version else f"Python ({name})",
        language="python",
        metadata=dict(IPYKERNEL_METADATA),
        provider=NAME,
        activation=activation,
    )
    return KernelType(spec, where=str(environment.prefix), lack=lack)


def _inner_type(
    name: str, spec: KernelSpec, environment: EnvironmentFolder, activation: Activation, python: Path | None
) -> KernelType:
    argv = spec.argv
    if kernelspec.is_bare_python(argv[0]) and python is not None:
        argv = (str(python), *argv[1:])
    shown = f"{spec.display_name} ({name.rpartition('/')[0]})"
    spec = replace(spec, name=name, argv=argv, display_name=shown, provider=NAME, activation=activation)
    return KernelType(spec, where=str(environment.prefix))


def _python(environment: EnvironmentFolder, activation: Activation) -> Path | None:
    """Return the interpreter of an environment, though it may be a link to nowhere; None if it has none."""
    names = ("python.exe",) if sys.platform == "win32" else ("python", "python3")
    for folder in activation.programs:
        for name in names:
            if os.path.lexists(folder / name):
                return folder / name
    return None if environment.maker in {"conda", "pixi", "pyenv"} else activation.programs[0] / names[0]


def _dangling(python: Path) -> str:
    """Return where a link leads to, as far as it leads."""
    with suppress(OSError, RuntimeError):
        return str(python.resolve())
    return str(python)


def site_packages(prefix: Path) -> list[Path]:
    """Return the folders an environment's own Python imports packages from."""
    try:
        found = sorted((prefix / "lib").glob("*py*3*/site-packages"))
    except OSError:
        found = []
    if sys.platform == "win32":
        found = [prefix / "Lib" / "site-packages"]
    return found


def has_ipykernel(prefix: Path) -> bool:
    """Tell whether an environment's Python can import ipykernel, without asking it.

    What it sees of the system's packages counts (``include-system-site-packages``); a PYTHONPATH does not.
    """
    folders = site_packages(prefix)
    marker = _marker(prefix)
    if marker.get("include-system-site-packages", "").lower() == "true" and "home" in marker:
        base = Path(marker["home"]).parent
        folders += [*site_packages(base), *base.glob("lib/python3*/dist-packages")]
        folders += [*base.glob("local/lib/python3*/dist-packages")]
    return any(_holds_ipykernel(folder) for folder in folders)


def _holds_ipykernel(folder: Path) -> bool:
    if (folder / "ipykernel_launcher.py").exists():
        return True
    try:  # one installed from its sources leaves its record here, not its modules
        with os.scandir(folder) as entries:
            return any(entry.name.startswith("ipykernel-") for entry in entries)
    except OSError:
        return False


def _marker(prefix: Path) -> dict[str, str]:
    """Return the settings of pyvenv.cfg; none where there is no such file."""
    try:
        lines = read_text(prefix / "pyvenv.cfg").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def python_version(environment: EnvironmentFolder) -> str:
    """Return major and minor version of an environment's Python, or an empty string."""
    marker = _marker(environment.prefix)
    version = marker.get("version_info") or marker.get("version") or ""
    if not version:
        version = next(
            (found[1] for found in map(_version_of, site_packages(environment.prefix)) if found), ""
        )
    return ".".join(version.split(".")[:2])


def _version_of(folder: Path) -> re.Match[str] | None:
    return re.fullmatch(r"(?:python|pypy)(\d+\.\d+)t?", folder.parent.name)


def install_command(environment: EnvironmentFolder, package: str = "ipykernel") -> str:
    """Return the command that installs a package into an environment, with the tool that made it."""
    prefix = _quoted(str(environment.prefix))
    match environment.maker:
        case "uv":
            return f"uv pip install --python {prefix} {package}"
        case "poetry":
            return f"poetry add --group dev {package}"
        case "pixi":
            return f"pixi add {package}"
        case "conda":
            named = environment.prefix.parent.name == "envs" or environment.name == "base"
            where = f"-n {environment.name}" if named else f"-p {prefix}"
            return f"{_conda_program()} install {where} {package}"
        case "pyenv" | "venv":
            python = environment.prefix / ("Scripts" if sys.platform == "win32" else "bin") / "python"
            pip = f"{_quoted(str(python))} -m pip install {package}"
            if any((folder / "pip").is_dir() for folder in site_packages(environment.prefix)):
                return pip
            return f"{_quoted(str(python))} -m ensurepip && {pip}"


def _make_anew(environment: EnvironmentFolder) -> str:
    match environment.maker:
        case "uv":
            return f"Make it anew: uv venv --clear {_quoted(str(environment.prefix))}"
        case "poetry":
            return "Make it anew: poetry env remove --all && poetry install"
        case "conda" | "pixi" | "pyenv":
            return f"Make it anew with {environment.maker}"
        case "venv":
            return f"Make it anew: python3 -m venv --clear {_quoted(str(environment.prefix))}"


@lru_cache(maxsize=1)
def _conda_program() -> str:
    """Return which of the programs that speak conda's command line is here."""
    return next((name for name in ("conda", "mamba", "micromamba") if shutil.which(name)), "conda")


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w./~@%+=:,-]+", text) else "'" + text.replace("'", "'\\''") + "'"
