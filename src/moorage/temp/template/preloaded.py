"""What the template of servers imports ahead: Jupyter's servers, their extensions, the plug."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from moorage.late_imports import OF_JSONSCHEMA, late, standing_in

EXTENSIONS = "jupyter_server_config.d"
"""Folder of a configuration directory in which packages switch on their extensions of the server."""
NO_HOME = "/nonexistent/home-of-a-template"
"""HOME of a template: none of the visitors', so that nothing of theirs is in it."""
HUB = "jupyterhub.singleuser"
TOLD_BY_HUBS = {
    name: f"/nonexistent/{name}-of-a-template"
    for name in (
        *("JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_API_URL"),
        *("JUPYTERHUB_SSL_KEYFILE", "JUPYTERHUB_SSL_CERTFILE", "JUPYTERHUB_SSL_CLIENT_CA"),
    )
}
"""What a hub tells each server, and traits of JupyterHub have as defaults from their import on: a template
has these values, and each server its own in their places."""
SERVERS = ("jupyterlab", "notebook", "jupyter_server", HUB)
"""Modules that are run as servers, by ``python -m``."""
PRELOAD = (
    *("tornado.platform.asyncio", "jupyter_core.migrate", "jinja2.ext", "httpcore", "IPython"),
    "jupyter_lsp.virtual_documents_shadow",
    *(
        f"jupyter_server.{name}.handlers"
        for name in (
            *("kernelspecs", "nbconvert", "view"),
            *("services.api", "services.config", "services.contents", "services.events", "services.kernels"),
            *("services.kernelspecs", "services.nbconvert", "services.security", "services.sessions"),
        )
    ),
    "jupyter_server.services.shutdown",
    *("moorage.jupyter.provisioner", "moorage.jupyter.kernelspecs", "moorage.jupyter.kernels"),
)
"""What a server imports later than with its module: all of it, until it is idle."""


class ImportRefused(Exception):
    """An import failed; the text says which, and why."""


def preload(server: str) -> None:
    """Import what a server imports.

    Args:
        server: its module, one of :data:`SERVERS`.

    Raises:
        ImportRefused: the module, or an extension that is switched on, cannot be imported.
    """
    with standing_in(late(OF_JSONSCHEMA)):
        _import(server)
        enabled = extensions()
        if "jupyterlab" in (server, *enabled):
            _forestall_yarn()
        for extension in enabled:
            _import(extension)
            _import_points(extension)
        _import_others()


def _forestall_yarn() -> None:
    """Have JupyterLab not run ``node yarn.js config`` (0.5 s) as it is imported, to look for its version.

    The name of a registry of packages, which is what it asks for, matters to what builds JupyterLab alone.
    """
    _import("jupyterlab.commands")
    commands = sys.modules["jupyterlab.commands"]
    asks = getattr(commands, "_yarn_config", None)
    if asks is None or "jupyterlab.labapp" in sys.modules:
        return
    vars(commands)["_yarn_config"] = lambda logger: {"yarn config": {}, "npm config": {}}  # noqa: ARG005 - its name
    try:
        _import("jupyterlab.labapp")
    finally:
        vars(commands)["_yarn_config"] = asks


def _import_others() -> None:
    for name in PRELOAD:
        try:
            importlib.import_module(name)
        except ImportError:  # of another version, or not installed: a server does without, too
            continue


def configuration() -> list[Path]:
    """Return the folders in which extensions are switched on for all users of this environment."""
    from jupyter_core.paths import jupyter_config_path  # noqa: PLC0415 - it takes what a template has time for

    return [Path(folder) / EXTENSIONS for folder in jupyter_config_path()]


def switches() -> list[str]:
    """Return the folders and files that decide which extensions are switched on, be they there or not."""
    found: list[str] = []
    for folder in configuration():
        found += [str(folder), *(str(folder / name) for name in sorted(_names(folder)))]
    return found


def extensions() -> list[str]:
    """Return the extensions that are switched on."""
    from jupyter_server.config_manager import BaseJSONConfigManager, recursive_update  # noqa: PLC0415 - as above

    found: dict[str, object] = {}
    for folder in reversed(configuration()):
        manager = BaseJSONConfigManager(config_dir=str(folder.parent), read_directory=True)
        recursive_update(found, manager.get(folder.name.removesuffix(".d")))
    enabled = found.get("ServerApp", {})
    wanted = enabled.get("jpserver_extensions", {}) if isinstance(enabled, dict) else {}
    return sorted(name for name, on in wanted.items() if on)


def _names(folder: Path) -> list[str]:
    try:
        return [each.name for each in folder.iterdir()]
    except OSError:
        return []  # when it comes into being, it has another stamp


def _import_points(extension: str) -> None:
    """Import the modules that an extension says it is made of."""
    module = importlib.import_module(extension)
    points = getattr(module, "_jupyter_server_extension_points", None)
    if points is None:
        return
    try:
        modules = [point["module"] for point in points()]
    except Exception as error:
        raise ImportRefused(f"{extension} failed: {_words(error)}") from error
    for name in modules:
        _import(name)


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ImportRefused(f"{name} cannot be imported: {_words(error)}") from error


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace(os.linesep, " ")
