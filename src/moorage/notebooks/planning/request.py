"""What a run is asked to do: settled once, from what was typed and what the configuration says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct, structs

from moorage.directory import working_directory
from moorage.errors import LaunchError, UsageError
from moorage.json_types import JsonMapping
from moorage.notebooks.documents.formats import SCRIPTS
from moorage.notebooks.planning.settings import Configuration, RenderSettings, configuration_for, merge


class RenderRequest(Struct, frozen=True, kw_only=True):
    """What a run is asked to do; made by :func:`requested`.

    Attributes:
        sources: files, folders and globs, relative to ``cwd``.
        cwd: absolute working directory.
        configuration: of the project.
        settings: flags, configuration and defaults in one.
        typed: names of the flags that were given, with underscores.
    """

    sources: tuple[str | Path, ...]
    cwd: Path
    configuration: Configuration
    settings: RenderSettings
    typed: frozenset[str]

    @property
    def to_stdout(self) -> bool:
        """Whether the one document goes to standard output: ``-o -``."""
        return self.settings.out == Path("-")

    def overwrites(self, path: Path) -> bool:
        """Return whether files that moorage did not make may be replaced at a path.

        What was typed counts everywhere, what the configuration says below its folder only.
        """
        if not self.settings.overwrite or "overwrite" in self.typed:
            return self.settings.overwrite
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.configuration.root))

    def written_to(self, out_file: Path | None) -> RenderRequest:
        """Return the request with what ``-o page.html`` means: ``--to html`` where no ``--to`` was typed.

        Args:
            out_file: the file that ``-o`` names; None where it names a folder.

        Raises:
            UsageError: the file's format cannot be written, or ``--to`` says otherwise.
        """
        if out_file is None:
            return self
        suffix = out_file.suffix.removeprefix(".")
        _check_formats([suffix])
        if suffix in self.settings.to:
            return self
        if "to" in self.typed:
            why = f"--to says {','.join(self.settings.to)}"
            raise UsageError(f"-o {self.settings.out} would not be written", why=why, do="Make the two agree")
        return structs.replace(self, settings=structs.replace(self.settings, to=(suffix,)))


def requested(sources: Sequence[str | Path], flags: JsonMapping) -> RenderRequest:
    """Return what a run is asked to do in the present working directory.

    Args:
        sources: files, folders and globs.
        flags: values by flag name with underscores, see :func:`moorage.notebooks.planning.settings.merge`.

    Raises:
        UsageError: a flag has a value that cannot be.
        ConfigurationError: the configuration says something that cannot be.
    """
    cwd = working_directory()
    configuration = configuration_for(sources, cwd)
    return RenderRequest(
        sources=tuple(sources),
        cwd=cwd,
        configuration=configuration,
        settings=merge(flags, configuration),
        typed=frozenset(name for name, value in flags.items() if value is not None),
    )


def check_settings(settings: RenderSettings) -> None:
    """Refuse what this version, or this machine, cannot do: before anything is done.

    Raises:
        UsageError: it cannot be carried out.
        KernelTypeNotFound: there is no kernel type that ``--kernel`` names.
        MoorageError: another reason why it cannot be here, such as a namespace that the system does not give.
    """
    if settings.bundle is not None:
        from moorage.notebooks.output.bundle import bundle_format

        bundle_format(settings.bundle)
    _check_formats(settings.to)
    if settings.out is not None and settings.out.suffix in SCRIPTS and not settings.out.is_dir():
        _check_formats([settings.out.suffix.removeprefix(".")])  # x.py is hardly the name of a folder
    if settings.out == Path("-"):
        _check_stdout(settings)
    _check_place(settings)
    if settings.kernel is not None:
        from moorage.discovery.finder import find

        try:
            find(settings.kernel)
        except LaunchError as error:
            raise UsageError(error.what, why=error.why, do=error.do) from None
    if settings.cluster is not None:
        raise UsageError(
            "this version of moorage runs notebooks on this machine only", do="Leave --cluster out"
        )


def _check_place(settings: RenderSettings) -> None:
    """Refuse what kernels cannot have here; what most runs ask for can be had, and nothing is loaded."""
    if settings.rendezvous != "auto":
        from moorage.kinds import IPYKERNEL
        from moorage.places.here import Here
        from moorage.rendezvous.choice import insist

        # ipykernel knows every rendezvous: what it cannot use here, no kernel can.
        insist(settings.rendezvous, IPYKERNEL, Here(isolate=settings.isolate).conditions(), "ipykernel")
    if settings.isolate == "net":
        from moorage.process.netns.probe import obstacle

        if (error := obstacle()) is not None:
            raise error


def _check_stdout(settings: RenderSettings) -> None:
    """Refuse what cannot go together with a document on standard output."""
    what, do = "-o - writes one document and nothing else", "Give -o a folder"
    if len(settings.to) > 1:
        raise UsageError(what, why=f"--to says {','.join(settings.to)}", do="Choose one format")
    for flag in ("bundle", "artifacts"):
        if getattr(settings, flag):
            raise UsageError(what, why=f"--{flag} needs files that stay", do=do)
    if settings.json == Path("-"):
        raise UsageError("-o - and --json - would both be written to stdout", do="Give one of them a file")


def _check_formats(formats: Sequence[str]) -> None:
    for to in formats or ("nothing",):
        if to not in {"ipynb", "html", "md"}:
            raise UsageError(f"moorage cannot write {to}", do="Choose from ipynb, html and md")
