"""``mooring kernels list``: the kernel types of every provider."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mooring.cli.parser import Parser


def add_parser(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "list", help="every kernel type", description="Lists every kernel type.", allow_abbrev=False
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out ``mooring kernels list``."""
    from mooring.discovery.kernelspec import names

    for name in names():
        print(name)
    return 0
