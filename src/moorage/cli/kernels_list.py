"""``moorage kernels list``: the kernel types of every provider."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from moorage.cli.stdio import json_text
from moorage.json_types import JsonObject

if TYPE_CHECKING:
    from moorage.cli.parser import Parser
    from moorage.cli.table import Screen
    from moorage.discovery.base import KernelType
    from moorage.discovery.listing import Listing

_EPILOGUE = """\
A provider that takes longer than a third of a second is shown as last known and asked again in the
background; --wait waits for all.
What is searched and what is left out stands under [discovery] in moorage.toml.
"""


def add_parser(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "list",
        help="every kernel type, and what it would take to launch it (the default)",
        description="Lists the kernel types of all providers.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    # Not given here must not hide that it was given before the action.
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout"
    )
    parser.add_argument("--wait", action="store_true", help="wait for every provider, a minute at most")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage kernels list``."""
    from pathlib import Path

    from moorage.discovery.listing import LONGEST, PATIENCE, Finder
    from moorage.discovery.settings import load_settings

    settings = load_settings(Path.cwd())
    patience = LONGEST if getattr(options, "wait", False) else PATIENCE
    listing = Finder(settings=settings).survey(patience)
    # What runs is no kernel type to launch: `moorage kernels ps` lists it.
    types = [each for each in listing.types if each.attach is None]
    if options.json:
        print(json_text(to_json(types, listing)))
    else:
        show(types)
        show_remarks(listing)
    if listing.late and sys.platform != "win32":
        from moorage.discovery.refresh import refresh_behind

        refresh_behind(listing.late)
    return 0


def show_remarks(listing: Listing) -> None:
    """Print to stderr which providers failed, and which are late."""
    from moorage.cli.table import Screen, plain

    screen = Screen.of(sys.stderr)
    for each in listing.remarks:
        text = f"{'warning' if each.broken else 'note'}: {each.provider} {each.text}"
        print(screen.wrapped(plain(text)), file=sys.stderr)


def show(types: list[KernelType]) -> None:
    """Print the table, and below it what it would take to launch the rest."""
    from moorage.cli.table import DIM, YELLOW, Column, Screen, lines, short_path
    from moorage.kinds import NO_KERNEL

    screen = Screen.of(sys.stdout)
    columns = [
        Column("TYPE", 16),
        Column("NAME", 14),
        Column("LANGUAGE", 8),
        Column("RENDEZVOUS", 10),
        Column("FROM", 12, "front"),
    ]
    if elsewhere := any(each.spec.place is not None for each in types):
        columns.append(Column("PLACE", 12))
    rows, styles = [], []
    for each in types:
        spec = each.spec
        # The name of a kernelspec has kernels/NAME in it already; its folder stands nowhere else.
        where = short_path(each.where.removesuffix(f"/kernels/{spec.name}"))
        told = [spec.called, spec.display_name, spec.language or "-", each.rendezvous() or "-", where]
        rows.append([*told, each.runs_on] if elsewhere else told)
        style = DIM if each.stale else YELLOW if each.lack else ""
        styles.append([style, style, style, style, DIM, style][: len(columns)])
    if not rows:
        print(NO_KERNEL)
        return
    print("\n".join(lines(columns, rows, screen, styles)))
    lacking = [each for each in types if each.lack is not None]
    if lacking:
        print("\n" + screen.styled("Cannot be launched as things are", "1"))
    for each in lacking:
        print("\n".join(needs(each, screen)))


def needs(kernel_type: KernelType, screen: Screen) -> list[str]:
    """Return what a kernel type lacks, as lines; a command to type stands in a line of its own."""
    from moorage.cli.table import plain
    from moorage.errors import sentence

    lack = kernel_type.lack
    if lack is None:
        return []
    needed = [screen.wrapped(plain(sentence(f"{kernel_type.spec.called}: {lack.why}")), 2)]
    if lack.do.startswith("Type: "):
        return [*needed, "    " + plain(lack.do.removeprefix("Type: "))]
    return [*needed, screen.wrapped(plain(sentence(lack.do)), 4)] if lack.do else needed


def to_json(types: list[KernelType], listing: Listing) -> JsonObject:
    """Return the document of ``--json``."""
    from moorage.version import __version__

    return {
        "moorage": __version__,
        "types": [about(each) for each in types],
        "remarks": [
            {"provider": each.provider, "text": each.text, "broken": each.broken} for each in listing.remarks
        ],
    }


def about(kernel_type: KernelType) -> JsonObject:
    """Return the entry of one kernel type in the document of ``--json``."""
    spec, lack = kernel_type.spec, kernel_type.lack
    return {
        "type": kernel_type.name,
        "called": spec.called,
        "display_name": spec.display_name,
        "language": spec.language,
        "where": kernel_type.where,
        "place": kernel_type.runs_on,
        "rendezvous": kernel_type.rendezvous(),
        "launchable": lack is None,
        "why": None if lack is None else lack.why,
        "do": None if lack is None else lack.do,
        "stale": kernel_type.stale,
        "resource_dir": None if spec.resource_dir is None else str(spec.resource_dir),
    }
