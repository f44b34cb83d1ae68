"""``moorage kernels install``: kernelspecs of kernels that register with their launcher."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moorage.cli.parser import Parser


def add_parser(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "install",
        help="write the kernelspec of a kernel that registers",
        description="Writes the kernelspec of this interpreter's ipykernel as one that registers (JEP 66), "
        "or with --adapt one that registers on behalf of a kernel that cannot.",
        allow_abbrev=False,
    )
    parser.add_argument("--adapt", metavar="TYPE", help="the kernel type to register on behalf of")
    parser.add_argument("--name", help="of the kernelspec (default: moorage- and the kernel's)")
    parser.add_argument("--display-name", default="", metavar="TEXT", help="what people will see")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--user", action="store_true", help="among the user's own kernelspecs")
    place.add_argument("--sys-prefix", action="store_true", help="into this interpreter's environment")
    place.add_argument("--prefix", type=Path, metavar="DIR", help="into another environment")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage kernels install``."""
    from moorage.cli.table import plain
    from moorage.discovery.finder import find
    from moorage.jupyter.install import (
        install,
        kernels_directory,
        kernelspec_of_adapter,
        kernelspec_of_ipykernel,
    )

    directory = kernels_directory(user=options.user, sys_prefix=options.sys_prefix, prefix=options.prefix)
    made = (
        kernelspec_of_ipykernel(options.display_name)
        if options.adapt is None
        else kernelspec_of_adapter(find(options.adapt), options.display_name)
    )
    name = options.name or made.name
    folder = install(directory, name, made.content, made.resources)
    print(plain(f"{name}: {folder}"))
    return 0
