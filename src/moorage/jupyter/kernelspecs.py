"""Kernel types of every provider as kernelspecs of Jupyter: ``env/.venv`` is the kernelspec ``env--.venv``.

For Jupyter Server and JupyterLab, in ``jupyter_server_config.py``::

    c.ServerApp.kernel_spec_manager_class = "moorage.jupyter.kernelspecs.MoorageKernelSpecManager"

For every tool that reads ``jupyter_config.py`` (``jupyter kernelspec``, nbconvert, execute, console), there::

    import moorage.jupyter.kernelspecs as kernelspecs
    kernelspecs.everywhere()
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from jupyter_client import kernelspec
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel

from moorage.discovery.base import KernelType
from moorage.discovery.finder import find_type
from moorage.discovery.listing import Finder
from moorage.errors import MoorageError
from moorage.json_types import JsonObject

_KEPT = re.compile(r"[a-z0-9.]|(?<![-/])-(?![-/])|/")
_CODED = re.compile(r"--|_([0-9a-f]{2})", re.IGNORECASE)
_NO_FOLDER = "/dev/null"


def encode(name: str) -> str:
    """Return a kernel type's name in the letters that Jupyter allows.

    A slash is ``--``; small letters, digits, dots and single hyphens stay; everything else is ``_`` and two
    hexadecimal digits for each of its bytes. Nothing depends on capitals: Jupyter folds case.
    """
    coded = []
    for at, letter in enumerate(name):
        if _KEPT.match(name, at):
            coded.append("--" if letter == "/" else letter)
        else:
            coded += [f"_{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape")]
    return "".join(coded)


def decode(name: str) -> str:
    """Return the kernel type's name that :func:`encode` made ``name`` of."""

    def meant(match: re.Match[str]) -> bytes:
        return b"/" if match[1] is None else bytes.fromhex(match[1])

    parts, at = [], 0
    for match in _CODED.finditer(name):
        parts += [name[at : match.start()].encode(), meant(match)]
        at = match.end()
    return b"".join([*parts, name[at:].encode()]).decode("utf-8", "surrogateescape")


class MoorageKernelSpecManager(KernelSpecManager):
    """Jupyter's kernelspecs, and all other kernel types that can be launched here.

    Jupyter's own keep their names and come first. The others are launched by the provisioner ``moorage``,
    whatever the default one is, because some are entered or reached in ways of its own.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._finder = Finder()

    def find_kernel_specs(self) -> dict[str, str]:
        """Return names and resource folders.

        Waits a fraction of a second for slow providers at most; what comes later is in the next list.
        """
        found: dict[str, str] = super().find_kernel_specs()
        for name, kernel_type in self._others().items():
            if not self.allowed_kernelspecs or name in self.allowed_kernelspecs:
                found.setdefault(name, _folder(kernel_type))
        return found

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return one kernelspec; ``env/.venv`` means what ``env--.venv`` does.

        Raises:
            NoSuchKernel: there is none, or it cannot be launched as things are; the log has the reason.
        """
        wanted = kernel_name if "/" in kernel_name else decode(kernel_name)
        own = "/" not in kernel_name and self._find_spec_directory(kernel_name.lower()) is not None
        if own or "/" not in wanted:
            return super().get_kernel_spec(kernel_name)
        try:
            kernel_type = find_type(wanted)
        except MoorageError as error:
            self.log.warning("%s", error)
            raise NoSuchKernel(kernel_name) from error
        if kernel_type.spec.provider == "spec":
            return super().get_kernel_spec(kernel_type.spec.name)
        if kernel_type.lack is not None:
            self.log.warning("%s: %s. %s.", wanted, kernel_type.lack.why, kernel_type.lack.do)
            raise NoSuchKernel(kernel_name)
        return _kernelspec(kernel_type)

    def get_all_specs(self) -> JsonObject:
        """Return names with resource folders and specs."""
        others = self._others()
        found = {}
        for name, folder in self.find_kernel_specs().items():
            try:
                known = others.get(name)
                spec = self.get_kernel_spec(name) if known is None else _kernelspec(known)
            except NoSuchKernel:
                continue  # the log has the reason
            except Exception:  # boundary: one broken kernelspec hides no other, as in Jupyter itself
                self.log.warning("the kernelspec %s cannot be read", name, exc_info=True)
                continue
            found[name] = {"resource_dir": folder, "spec": spec.to_dict()}
        return found

    def _others(self) -> dict[str, KernelType]:
        """Return what is no kernelspec of Jupyter's and can be launched, by coded name."""
        listing = self._finder.survey()
        for remark in listing.remarks:
            self.log.debug("%s %s", remark.provider, remark.text)
        return {
            encode(each.name): each
            for each in listing.types
            if each.spec.provider != "spec" and each.attach is None and each.lack is None
        }


def everywhere() -> None:
    """Have every tool of this process use :class:`MoorageKernelSpecManager`; for ``jupyter_config.py``.

    Most of them have no setting for it: the class is replaced where they look it up.
    """
    for name, module in list(sys.modules.items()):
        if (
            name.startswith(("jupyter", "nbc"))
            and getattr(module, "KernelSpecManager", None) is KernelSpecManager
        ):
            module.KernelSpecManager = MoorageKernelSpecManager  # type: ignore[attr-defined]  # it has one: see above
    kernelspec.KernelSpecManager = MoorageKernelSpecManager  # type: ignore[misc]  # what this is for


def _kernelspec(kernel_type: KernelType) -> KernelSpec:
    spec = kernel_type.spec
    ours = {"kernel_type": spec.kernel_type, "where": kernel_type.where}
    given = spec.metadata.get("moorage")
    metadata = {
        **spec.metadata,
        "moorage": {**(given if isinstance(given, dict) else {}), **ours},
        "kernel_provisioner": {"provisioner_name": "moorage", "config": {}},
    }
    return KernelSpec(
        argv=list(spec.argv),
        name=encode(spec.kernel_type),
        display_name=spec.display_name,
        language=spec.language,
        interrupt_mode=spec.interrupt_mode,
        metadata=metadata,
        kernel_protocol_version=spec.protocol_version,
        resource_dir=_folder(kernel_type),
    )


def _folder(kernel_type: KernelType) -> str:
    """Return where logos are looked for: a folder without any, rather than the working directory."""
    spec = kernel_type.spec
    if spec.resource_dir is not None:
        return str(spec.resource_dir)
    if spec.language == "python":
        from importlib.util import find_spec  # noqa: PLC0415 - only this once

        found = find_spec("ipykernel")
        if found is not None and found.origin is not None:
            return str(Path(found.origin).with_name("resources"))
    return _NO_FOLDER
