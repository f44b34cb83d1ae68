"""Which kernel a document gets: its name, then its language, then its environment.

1. The one the user requires; it must be here. No note.
2. The one the document names, if it is here as Jupyter finds it. No note. ``python3`` is the
   interpreter moorage runs in, whatever environments lie around: as everywhere in Jupyter.
3. Else the environment of that name, with a note: editors write ``.venv`` or ``conda-env-work-py``.
4. Else the nearest by language; for Python the interpreter moorage runs in. With a note, unless the document
   named none.
5. Else, for Python without ipykernel beside moorage, the nearest environment that has it, the project's
   own before the user's. With a note.

docs/reference/kernels.md has this in a table.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.directory import working_directory
from moorage.discovery import finder
from moorage.discovery.kernelspec import KernelSpec, find_by_language, get
from moorage.errors import KernelTypeNotFound
from moorage.kinds import INSTALL_COMMANDS, install_advice

if TYPE_CHECKING:
    from moorage.discovery.base import KernelType

_PYTHON = frozenset({"python", "ipython", "ipython3", "py"})
# How nb_conda_kernels calls the kernels of conda's environments.
_CONDA = re.compile(r"conda-env-(?P<name>.+)-(?P<language>[a-z0-9]+)")


def choose_kernel(
    named: str | None, language: str | None, wanted: str | None = None, *, directory: Path | None = None
) -> tuple[KernelSpec, str]:
    """Apply the rule above.

    Args:
        named: the kernel type the document names, or None.
        language: the document's language, or None for Python.
        wanted: the kernel type the user requires, or None.
        directory: from where to look for environments; default is the working directory.

    Returns:
        The kernel type, and a note on the choice for the user (empty: none).

    Raises:
        KernelTypeNotFound: nothing here fits.
        LaunchError: the required one, or one named with its provider, cannot be launched as things are.
    """
    if wanted is not None:
        return finder.find(wanted), ""  # looked up from the directory in which it was typed
    missing: KernelTypeNotFound | None = None
    if named is not None:
        try:
            return _by_name(named, directory), ""
        except KernelTypeNotFound as error:
            missing = error
        if (found := _environment(named, language, directory)) is not None:
            return found, _reason(named, found)
    spec = find_by_language(language or "python")
    if spec is not None:
        return spec, "" if named is None else _reason(named, spec)
    if (found := _nearest(language or "python", directory)) is not None:
        return found, _reason(named, found)
    do = install_advice(_language(language))
    if missing is not None and named is not None:
        # With near names, which take a look at all providers; unless a broken kernel.json is the reason.
        try:
            return finder.find(named, directory=directory), ""
        except KernelTypeNotFound as error:
            if error.why or error.do == do or _language(language) not in INSTALL_COMMANDS:
                raise
            raise KernelTypeNotFound(error.what, why=error.do, do=do) from None
    raise KernelTypeNotFound(f"no kernel for {language or 'python'} is here", do=do)


def _by_name(named: str, directory: Path | None) -> KernelSpec:
    """Return the kernel type of exactly this name, without a search for near names where Jupyter has none."""
    if "/" in named and not named.startswith("spec/"):
        return finder.find(named, directory=directory)
    if (spec := get(named.removeprefix("spec/"))) is not None:
        return spec
    raise KernelTypeNotFound(f"no kernel type is called {named}")


def _reason(named: str | None, spec: KernelSpec) -> str:
    runs = f"{spec.called} ({spec.display_name}) runs it"
    if named is None:
        return f"no kernel is installed beside moorage; {runs}"
    return f"it names the kernel {named}, which is not here; {runs}"


def _environment(named: str, language: str | None, directory: Path | None) -> KernelSpec | None:
    """Return what a document means by a name that is no kernelspec's: an environment's kernel."""
    match = _CONDA.fullmatch(named)
    wanted = match["name"] if match else named
    spoken = _language(match["language"] if match else language)
    for each in _environments(directory):
        spec, inside = each.spec, each.spec.activation
        known = {spec.name.removeprefix("."), inside.name.removeprefix(".") if inside else ""}
        if spec.language == spoken and wanted.removeprefix(".") in known:
            return spec
    return None


def _language(name: str | None) -> str:
    """Return a language as kernelspecs spell it; Python for None."""
    spoken = (name or "python").lower()
    return "python" if spoken in _PYTHON else spoken


def _nearest(language: str, directory: Path | None) -> KernelSpec | None:
    wanted = _language(language)
    return next((each.spec for each in _environments(directory) if each.spec.language == wanted), None)


def _environments(directory: Path | None) -> list[KernelType]:
    """Return what can be launched in environments around, nearest first."""
    from moorage.discovery.base import Around
    from moorage.discovery.environments import look
    from moorage.discovery.settings import load_settings

    where = (working_directory() if directory is None else directory).absolute()
    settings = load_settings(where)
    types = look(Around(where, paths=settings.paths))
    return [each for each in types if each.lack is None and settings.lists(each)]
