"""Names to kernel types, and lists of all.

A bare name is Jupyter's: only kernelspecs are looked at, and nothing else is imported. ``provider/name``
goes to that provider alone. Lists ask all providers at once, each in a thread of its own, and wait for none
beyond a moment: the types of a slow provider are shown as they were last known, and marked so.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.directory import working_directory
from moorage.discovery import kernelspec
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import DeadlineExceeded, KernelTypeNotFound, LaunchError, MoorageError

if TYPE_CHECKING:
    from moorage.discovery.base import Around, KernelType
    from moorage.discovery.listing import Finder, Listing

__all__ = ["Finder", "Listing", "find", "find_type", "launchable", "list_types", "resolve"]

_SECONDS = 60.0
"""How long a provider may take to say what one name means."""


def find(name: str, *, directory: Path | None = None) -> KernelSpec:
    """Return the kernel type called ``name``, which can be launched as things are.

    Args:
        name: ``python3``, ``spec/ir``, ``env/.venv`` ...
        directory: from where to look for environments; default is the working directory.

    Raises:
        KernelTypeNotFound: there is none; near names of all providers are offered.
        LaunchError: it is known, but cannot be launched as things are.
        DeadlineExceeded: its provider did not answer within 60 s.
    """
    spec = _of_jupyter(name)
    return launchable(find_type(name, directory=directory)).spec if spec is None else spec


async def resolve(name: str, *, directory: Path | None = None) -> KernelSpec:
    """Do what :func:`find` does for a loop: no provider but Jupyter's own can hold it up.

    Raises:
        KernelTypeNotFound, LaunchError, DeadlineExceeded: as :func:`find`. Cancelling abandons the search.
    """
    spec = _of_jupyter(name)
    if spec is not None:
        return spec
    from moorage.tasks import in_thread

    return await in_thread(lambda: find(name, directory=directory), name=f"find {name}")


def find_type(name: str, *, directory: Path | None = None) -> KernelType:
    """Return the kernel type called ``name``, though it may be such that it cannot be launched now.

    Raises:
        KernelTypeNotFound, DeadlineExceeded: as :func:`find`.
    """
    from moorage.discovery.base import Around, KernelType

    if (spec := _of_jupyter(name)) is not None:
        return KernelType(spec, where=str(spec.resource_dir or ""))
    around = Around(working_directory() if directory is None else directory.absolute())
    found = _of_provider(name, around)
    if found is None:
        raise _not_found(name, around)
    return found


def launchable(kernel_type: KernelType) -> KernelType:
    """Return ``kernel_type``.

    Raises:
        LaunchError: it cannot be launched as things are; says what to do about that.
    """
    if (lack := kernel_type.lack) is not None:
        raise LaunchError(f"{kernel_type.name} cannot be launched", why=_capital(lack.why), do=lack.do)
    return kernel_type


async def list_types(patience: float | None = None) -> Listing:
    """Return all kernel types here; see :meth:`moorage.discovery.listing.Finder.list_types`.

    To list again and again, keep a ``Finder``.
    """
    from moorage.discovery.listing import PATIENCE, Finder

    return await Finder().list_types(PATIENCE if patience is None else patience)


def _of_jupyter(name: str) -> KernelSpec | None:
    """Return a kernelspec; None when there is none of that name, or the name is another provider's."""
    provider, slash, rest = name.partition("/")
    if slash and provider != "spec":
        return None
    return kernelspec.get(rest if slash else name)


def _of_provider(name: str, around: Around) -> KernelType | None:
    """Ask the provider a name begins with; None when it knows none of that name."""
    provider, slash, rest = name.partition("/")
    if not slash or provider == "spec":
        return None
    from moorage.discovery.entries import OWN, ask_for, in_daemon_thread, installed, own
    from moorage.discovery.settings import load_settings

    if provider in OWN:
        around = replace(around, paths=load_settings(around.directory).paths)
    load = own(provider) or installed().get(provider)
    if load is None:
        return None
    answer = in_daemon_thread(lambda: ask_for(load(), rest, around), name=f"find {name}")
    try:
        error = answer.exception(_SECONDS)
    except TimeoutError:
        raise DeadlineExceeded(
            f"the provider {provider} did not say within {_SECONDS:g} s what {name} is"
        ) from None
    if error is None:
        return answer.result()
    if isinstance(error, MoorageError):
        raise error
    why = f"{type(error).__name__}: {error}"
    raise KernelTypeNotFound(f"the provider {provider} cannot say what {name} is", why=why) from error


def _not_found(name: str, around: Around) -> KernelTypeNotFound:
    """Return the complaint, with near names of every provider that answers at once."""
    from moorage.discovery.entries import OWN, installed
    from moorage.discovery.listing import Finder

    types = Finder(around.directory, environ=around.environ).survey().types
    known = {}
    for each in (one for one in types if one.attach is None):
        known[each.name] = known[each.spec.name] = each.spec.called
    wanted = name.removeprefix("spec/")
    close = difflib.get_close_matches(wanted.lower(), known, n=4, cutoff=0.5)
    if wanted in known:  # the name of another provider's, without that
        close.insert(0, wanted)
    near = list(dict.fromkeys(known[each] for each in close))[:3]
    provider, slash, _ = name.partition("/")
    why = ""
    if slash and provider not in OWN and provider not in installed():
        why = f"No provider is called {provider}"
    from moorage.kinds import NO_KERNEL, install_advice

    if _is_environment(name, around):
        do = f"Did you mean env/{name}?"
    elif wanted in {"python", "python3"} and wanted not in known:
        do = install_advice("python")
    elif near:
        do = f"Did you mean {' or '.join(near)}?"
    elif known:
        do = f"Here are: {', '.join(dict.fromkeys(known.values()))}"
    else:
        do = NO_KERNEL
    return KernelTypeNotFound(f"no kernel type is called {name}", why=why, do=do)


def _is_environment(name: str, around: Around) -> bool:
    """Tell whether a name is an environment's path, written where a kernel type is wanted."""
    from moorage.discovery.environments import get

    return "/" in name and not name.startswith("env/") and get(name, around) is not None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def __getattr__(name: str) -> Any:
    # They stand with what listing needs, which launching does not.
    if name in {"Finder", "Listing"}:
        from moorage.discovery import listing

        return getattr(listing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
