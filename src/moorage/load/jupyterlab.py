"""What JupyterLab asks of its server, as seen in a browser with JupyterLab 4.5. No I/O."""

from __future__ import annotations

import json
import re
from urllib.parse import urljoin, urlsplit

from moorage.load.forms import Html

OFTEN, SELDOM = 10.0, 60.0
"""Seconds between two looks of a visible tab at what changes often, and at what seldom does."""
_BASE = re.compile(r"/user/[^/]+(?=/|$)")
_AT_START = (
    *("api/kernelspecs", "api/me", "api/kernels", "api/terminals", "api/sessions"),
    *("api/contents?content=1&hash=0", "api/contents?content=1&hash=0"),
)
_LAB_AT_START = (
    *("lab/api/settings", "lab/api/workspaces", "lab/api/translations/default", "lab/api/translations"),
    *("lab/api/workspaces/default", "lab/api/settings?ids_only=true"),
    "lab/api/themes/@jupyterlab/theme-light-extension/index.css",
)
_POLLED = ("api/terminals", "api/contents?content=1&hash=0", "api/kernels", "api/sessions")
_LAB_POLLED = ("lab/api/workspaces",)
_SELDOM_POLLED = ("api/me", "api/kernelspecs")


class Site:
    """The addresses of one visitor's server.

    Args:
        landing: path of the page that opened; with a host before it where the server has one of its own.
    """

    def __init__(self, landing: str) -> None:
        match, host = _BASE.match(landing), urlsplit(landing).netloc
        self._landing = landing
        self._own_host = bool(host)
        self.base = f"//{host}" if host else match[0] if match else ""
        self._lab = landing.removeprefix(self.base).startswith("/lab")

    @property
    def has_events(self) -> bool:
        """Whether its page listens to the server's events on a websocket."""
        return self._lab

    def under(self, path: str) -> str:
        """Return the path of something of the server."""
        return f"{self.base}/{path}"

    def files(self, page: Html) -> list[str]:
        """Return the files that a page loads: its own, and the first one of each extension.

        Scripts that these scripts load are left out, and so are files of other hosts: a crowd is for one.
        """
        try:
            known = json.loads(page.config or "{}").get("federated_extensions", [])
            loads = [f"lab/extensions/{each['name']}/{each['load']}" for each in known]
        except (ValueError, KeyError, TypeError, AttributeError):
            loads = []  # another program's page, of which the rest is loaded all the same
        own = [urljoin(self._landing, each) for each in page.files]
        host = urlsplit(self._landing).netloc
        return [*(each for each in own if urlsplit(each).netloc == host), *map(self.under, loads)]

    def at_start(self) -> list[str]:
        """Return what is asked once when the page opens."""
        return [self.under(path) for path in (*_AT_START, *(_LAB_AT_START if self._lab else ()))]

    def polled(self, tick: int) -> list[str]:
        """Return what an open page asks at a look, of which there is one every ``OFTEN`` seconds.

        Args:
            tick: the number of the look, from 1 on.
        """
        paths = [self.under(path) for path in (*_POLLED, *(_LAB_POLLED if self._lab else ()))]
        if tick % int(SELDOM / OFTEN) == 0:
            paths += [self.under(path) for path in _SELDOM_POLLED]
            own = self.under(".moorage") if self._own_host else ""
            paths += [f"{own}/time-left?server={'' if own else self.base.rpartition('/')[2]}"]
        return paths
