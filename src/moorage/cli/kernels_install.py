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
    import importlib.util

    from moorage.cli.table import plain
    from moorage.discovery.finder import find
    from moorage.errors import MissingExtra
    from moorage.jupyter.install import adapter_content, install, ipykernel_content, kernels_directory

    directory = kernels_directory(user=options.user, sys_prefix=options.sys_prefix, prefix=options.prefix)
    if options.adapt is None:
        if importlib.util.find_spec("ipykernel") is None:
            raise MissingExtra("ipykernel is not installed here", do="Type: pip install ipykernel")
        name, content, resources = "python3", ipykernel_content(options.display_name), None
    else:
        spec = find(options.adapt)
        name, content, resources = spec.name, adapter_content(spec, options.display_name), spec.resource_dir
        if name == "python3":  # the name of the one without --adapt
            name = "adapted-python3"
    name = options.name or f"moorage-{name.strip('./').replace('/', '-') or 'kernel'}"
    folder = install(directory, name, content, resources)
    print(plain(f"{name}: {folder}"))
    return 0
