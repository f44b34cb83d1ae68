"""Where this moorage was installed from, and the command that installs more of it from there."""

from __future__ import annotations

import json
import shlex
from urllib.parse import unquote, urlsplit

from moorage.json_types import JsonObject


def install_line(extra: str = "") -> str:
    """Return the command that installs moorage, with an extra, from where this one came from.

    The name alone is right only for a moorage that came from a package index: what else may answer to the
    name there is not known to one that came from a folder, a wheel or a repository.

    Args:
        extra: ``render``, ``cli`` or ``all``; empty for none.

    Source: "Recording the Direct URL Origin of installed distributions", PyPA specifications.
    """
    wanted = f"moorage[{extra}]" if extra else "moorage"
    return f"pip install {_requirement(wanted, extra, _origin())}"


def _origin() -> JsonObject:
    """Return what the installer recorded; nothing for a moorage from an index or of an unknown origin."""
    from importlib import metadata  # noqa: PLC0415 - 9 ms, and only what is missing asks

    try:
        found = json.loads(metadata.distribution("moorage").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("url"), str) else {}


def _requirement(wanted: str, extra: str, origin: JsonObject) -> str:
    url = origin.get("url", "")
    if not url:
        return f"'{wanted}'" if extra else wanted
    if vcs := origin.get("vcs_info"):
        revision = f"@{vcs['commit_id']}" if "commit_id" in vcs else ""
        return shlex.quote(f"{wanted} @ {vcs.get('vcs', 'git')}+{url}{revision}")
    if "dir_info" not in origin:
        return shlex.quote(f"{wanted} @ {url}")
    folder = unquote(urlsplit(url).path) + (f"[{extra}]" if extra else "")
    return ("-e " if origin["dir_info"].get("editable") else "") + shlex.quote(folder)
