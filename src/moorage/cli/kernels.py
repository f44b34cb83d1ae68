"""``moorage kernels``: what can run here, what runs here, and actions on both.

Each action is a module of its own; without one, what can run is listed.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moorage.cli.parser import Parser


def add_parser(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb, with its actions."""
    from moorage.cli import (
        kernels_check,
        kernels_install,
        kernels_list,
        kernels_ps,
        kernels_show,
        kernels_stop,
    )
    from moorage.cli.parser import Parser

    parser = verbs.add_parser(
        "kernels",
        help="what can run here, and what runs",
        description="What can run here, and what runs. Without an action: list.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, and nothing else")
    parser.set_defaults(run=kernels_list.run)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    kernels_list.add_parser(actions)
    kernels_show.add_parser(actions)
    kernels_check.add_parser(actions)
    kernels_ps.add_parser(actions)
    kernels_stop.add_parser(actions)
    kernels_install.add_parser(actions)
