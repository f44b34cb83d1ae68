"""Every path that a run will write, looked at before anything is done."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from moorage.errors import UsageError
from moorage.notebooks.output.named import leads_out, named_obstacle, unwritable
from moorage.notebooks.output.writer import REASONS, Obstacle, Writer, identities
from moorage.notebooks.planning.plan import Plan
from moorage.notebooks.planning.request import RenderRequest
from moorage.notebooks.planning.settings import RenderSettings
from moorage.notebooks.relative import RealPaths
from moorage.trust import is_foreign

_SHOWN = 3


def check_folder(folder: Path, *, cwd: Path, typed: bool) -> None:
    """Check that an output folder that was not typed was not put there to mislead.

    Args:
        folder: the output folder.
        cwd: absolute working directory.
        typed: whether the user named it for this run: then it may be a link to anywhere.

    Raises:
        UsageError: it leads out of the project through a link, or another user has made it in a folder that
            all may write to, and could have what is written there end up elsewhere.
    """
    if typed:
        return
    do = "Name the folder with -o if you mean it"
    if leads_out(folder, cwd):
        what = f"{_short(folder, cwd)} leads out of the project through a symbolic link"
        raise UsageError(what, why=f"It is {os.path.realpath(folder)}", do=do)
    if os.path.lexists(folder) and is_foreign(folder) and folder.parent.stat().st_mode & stat.S_IWOTH:
        why = f"Any user may write to {folder.parent}"
        raise UsageError(f"{_short(folder, cwd)} belongs to another user", why=why, do=do)


def check_targets(plan: Plan, request: RenderRequest, writer: Writer, *, told: bool) -> None:
    """Refuse a run that would write over what is not its own.

    Looked at are documents and pages, the index, declared outputs, the report, JUnit, JSON and the bundle.
    What notebooks and pages bring along by names that are not known yet is looked at when it is written.

    Args:
        plan: the run.
        request: what it is asked to do.
        writer: writes the output folder.
        told: whether the files that tell of the run are written, the index among them.

    Raises:
        UsageError: a file is in the way, one path would be written twice, or a report cannot be written.
    """
    settings, cwd = request.settings, request.cwd
    met: list[tuple[Path, Obstacle]] = []
    taken: dict[str, str] = {}
    real = RealPaths()
    for path, what in _outputs(plan, settings, told=told):
        _take(path, what, taken, cwd)
        if (obstacle := writer.obstacle(path, real)) is not None:
            met.append((path, obstacle))
    sources = identities(item.file.path for item in plan.items.values())
    for path, what in _named(settings, cwd, told=told):
        _take(path, what, taken, cwd)
        if why := unwritable(path):
            do = "Give another place or name"
            raise UsageError(f"{what} {_short(path, cwd)} cannot be written", why=why, do=do)
        obstacle = named_obstacle(path, cwd=cwd, overwrite=request.overwrites(path), sources=sources)
        if obstacle is not None:
            met.append((path, obstacle))
    if met:
        raise _refusal(met, plan, cwd)


def has_index(settings: RenderSettings, sources: Iterable[str]) -> bool:
    """Return whether a run writes an index of its pages.

    Args:
        settings: of the run.
        sources: names of its notebooks. With one called index, that page is the index.
    """
    names = list(sources)
    return (
        "html" in settings.to
        and len(names) > 1
        and not any(Path(name).with_suffix("") == Path("index") for name in names)
    )


def _outputs(plan: Plan, settings: RenderSettings, *, told: bool) -> Iterator[tuple[Path, str]]:
    for name, item in plan.items.items():
        for to in settings.to:
            yield item.documents[to], name
    if told and has_index(settings, plan.items):
        yield plan.collection.out_dir / "index.html", "the index"
    for item in plan.items.values():
        for pattern in item.settings.outputs:
            target = Path(os.path.normpath(item.file.output.parent / pattern))
            # Beside its source it is the very file that the notebook makes.
            beside = target == Path(os.path.normpath(item.directory / pattern))
            inside = target.is_relative_to(plan.collection.out_dir)
            if inside and not beside and not glob.has_magic(pattern) and target.is_file():
                yield target, f"the output that {item.name} is declared to make"


def _named(settings: RenderSettings, cwd: Path, *, told: bool) -> Iterator[tuple[Path, str]]:
    for flag in ("bundle", "report", "junit", "json") if told else ("bundle",):
        path = getattr(settings, flag)
        if path is not None and path != Path("-"):
            yield Path(os.path.normpath(cwd / path)), f"--{flag}"


def _take(path: Path, what: str, taken: dict[str, str], cwd: Path) -> None:
    other = taken.setdefault(os.fspath(path), what)
    if other != what and not path.is_relative_to("/dev"):
        text = f"{other} and {what} would both be written to {_short(path, cwd)}"
        raise UsageError(text, do="Give one of them another name")


def _refusal(met: list[tuple[Path, Obstacle]], plan: Plan, cwd: Path) -> UsageError:
    first = met[0][1]
    paths = [_short(path, cwd) for path, obstacle in met if obstacle == first]
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    what = f"{', '.join(paths[:_SHOWN])}{more} would be written over"
    why, do = REASONS[first], "Give another place or name"
    if first in {"foreign", "changed"}:
        do = "Move what is yours, choose another place with -o, or say --overwrite"
        if first == "foreign" and any(path.is_relative_to(plan.collection.out_dir) for path, _ in met):
            why += ", as far as .moorage-files in the output folder tells"
            do += " (once, for files that moorage made before it kept that record)"
    return UsageError(what, why=why, do=do)


def _short(path: Path, cwd: Path) -> str:
    return os.path.relpath(path, cwd) if path.is_relative_to(cwd) else str(path)
