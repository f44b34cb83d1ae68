"""``moorage kernels show TYPE``: everything known of one kernel type, but no secret."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from moorage.cli.stdio import json_text
from moorage.json_types import JsonMapping, JsonObject

if TYPE_CHECKING:
    from moorage.cli.parser import Parser
    from moorage.discovery.base import KernelType


def add_parser(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "show",
        help="everything known of one kernel type",
        description="Shows everything known of one kernel type. Values that look secret are left out.",
        allow_abbrev=False,
    )
    parser.add_argument("type", metavar="TYPE", help="such as python3, spec/ir, env/.venv, env/./venv")
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage kernels show``."""
    from moorage.discovery.finder import find_type

    kernel_type = find_type(options.type)
    document = everything(kernel_type)
    if options.json:
        from moorage.version import __version__

        print(json_text({"moorage": __version__, **document}))
    else:
        show(kernel_type, document)
    return 0


def everything(kernel_type: KernelType) -> JsonObject:
    """Return the document of ``--json``."""
    from moorage.cli.kernels_list import about
    from moorage.discovery.redaction import redacted, without_secrets

    spec = kernel_type.spec
    activation = spec.activation
    return {
        **about(kernel_type),
        "argv": without_secrets(spec.argv),
        "env": {key: redacted(value, key) for key, value in spec.env.items()},
        "environment": None if activation is None else str(activation.prefix),
        "activated_as": None if activation is None else activation.kind,
        "interrupt_mode": spec.interrupt_mode,
        "protocol_version": spec.protocol_version or None,
        "logos": {name: str(path) for name, path in kernel_type.logos().items()},
        "metadata": redacted(spec.metadata),
    }


def show(kernel_type: KernelType, document: JsonMapping) -> None:
    """Print it for people."""
    from moorage.cli.kernels_list import needs
    from moorage.cli.table import BOLD, YELLOW, Screen, plain, short_path

    screen = Screen.of(sys.stdout)
    print(screen.styled(plain(f"{document['type']}  {document['display_name']}"), BOLD))
    rows = [
        ("language", document["language"]),
        ("from", short_path(document["where"])),
        ("command", " ".join(document["argv"])),
        ("variables", "  ".join(f"{key}={value}" for key, value in document["env"].items())),
        ("environment", _activated(document)),
        ("rendezvous", document["rendezvous"]),
        ("interrupt", f"by {document['interrupt_mode']}"),
        ("protocol", document["protocol_version"]),
        ("place", document["place"]),
        ("resources", document["resource_dir"] and short_path(document["resource_dir"])),
        ("logos", ", ".join(document["logos"])),
        ("metadata", json.dumps(document["metadata"], ensure_ascii=False) if document["metadata"] else ""),
    ]
    for name, value in rows:
        if value:
            print(f"  {name:<12} {plain(str(value))}")
    if kernel_type.lack is not None:
        print("\n" + screen.styled("Cannot be launched as things are", YELLOW))
        print("\n".join(needs(kernel_type, screen)))


def _activated(document: JsonMapping) -> str:
    if document["environment"] is None:
        return ""
    from moorage.cli.table import short_path

    return f"{short_path(document['environment'])}, activated as {document['activated_as']}"
