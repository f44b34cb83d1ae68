"""``moorage kernels show TYPE``: everything known of one kernel type, but no secret."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moorage.cli.stdio import json_text

if TYPE_CHECKING:
    from moorage.cli.parser import Parser
    from moorage.discovery.base import KernelType

HIDDEN = "(not shown)"
_SECRET_NAME = re.compile(
    r"key|token|secret|passw|pwd|credential|auth|cookie|private|session|dsn", re.IGNORECASE
)
# A long word of letters and digits in turn, or the password in a URL.
_SECRET_VALUE = re.compile(
    r"(?=[^/]*\d)(?=[^/]*[A-Za-z])[A-Za-z0-9+_=.-]{20,}|[a-z][a-z0-9+]*://[^/\s]*:[^/\s]*@.*"
)


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
    told = everything(kernel_type)
    if options.json:
        from moorage.version import __version__

        print(json_text({"moorage": __version__, **told}))
    else:
        show(kernel_type, told)
    return 0


def everything(kernel_type: KernelType) -> dict[str, Any]:
    """Return what ``--json`` tells."""
    from moorage.cli.kernels_list import about

    spec = kernel_type.spec
    activation = spec.activation
    return {
        **about(kernel_type),
        "argv": without_secrets(spec.argv),
        "env": {key: shown(key, value) for key, value in spec.env.items()},
        "environment": None if activation is None else str(activation.prefix),
        "activated_as": None if activation is None else activation.kind,
        "interrupt_mode": spec.interrupt_mode,
        "protocol_version": spec.protocol_version or None,
        "launched_by": "a process of this machine" if spec.launcher is None else kernel_type.spec.provider,
        "logos": {name: str(path) for name, path in kernel_type.logos().items()},
        "metadata": _cleaned(spec.metadata),
    }


def show(kernel_type: KernelType, told: Mapping[str, Any]) -> None:
    """Print it for people."""
    from moorage.cli.kernels_list import needs
    from moorage.cli.table import BOLD, YELLOW, Screen, plain, short_path

    screen = Screen.of(sys.stdout)
    print(screen.styled(plain(f"{told['type']}  {told['display_name']}"), BOLD))
    rows = [
        ("language", told["language"]),
        ("from", short_path(told["where"])),
        ("command", " ".join(told["argv"])),
        ("variables", "  ".join(f"{key}={value}" for key, value in told["env"].items())),
        ("environment", _activated(told)),
        ("rendezvous", told["rendezvous"]),
        ("interrupt", f"by {told['interrupt_mode']}"),
        ("protocol", told["protocol_version"]),
        ("launched by", told["launched_by"]),
        ("resources", told["resource_dir"] and short_path(told["resource_dir"])),
        ("logos", ", ".join(told["logos"])),
        ("metadata", json.dumps(told["metadata"], ensure_ascii=False) if told["metadata"] else ""),
    ]
    for name, value in rows:
        if value:
            print(f"  {name:<12} {plain(str(value))}")
    if kernel_type.lack is not None:
        print("\n" + screen.styled("Cannot be launched as things are", YELLOW))
        print("\n".join(needs(kernel_type, screen)))


def _activated(told: Mapping[str, Any]) -> str:
    if told["environment"] is None:
        return ""
    from moorage.cli.table import short_path

    return f"{short_path(told['environment'])}, activated as {told['activated_as']}"


def shown(name: str, value: str) -> str:
    """Return the value of a variable, or that it is not shown: its name or itself looks like a secret."""
    return HIDDEN if _SECRET_NAME.search(name) or _SECRET_VALUE.fullmatch(value) else value


def without_secrets(words: tuple[str, ...]) -> list[str]:
    """Return a command without the values of flags that look secret."""
    result: list[str] = []
    hide = False
    for word in words:
        flag, mark, value = word.partition("=")
        if hide:
            result.append(HIDDEN)
        elif mark and flag.startswith("-"):
            result.append(f"{flag}={shown(flag, value)}")
        else:
            result.append(word)
        hide = not hide and word.startswith("--") and not mark and bool(_SECRET_NAME.search(word))
    return result


def _cleaned(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {str(key): _cleaned(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(each, name) for each in value]
    return shown(name, value) if isinstance(value, str) else value
