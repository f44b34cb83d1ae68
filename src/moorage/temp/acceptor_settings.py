"""What the processes that take visitors of a service are told, beside routes."""

from __future__ import annotations

import msgspec

from moorage.plan.proxying import Forwarding
from moorage.proxy.settings import ProxySettings
from moorage.proxy.shared_files import SharedFiles
from moorage.temp.installed_files import UNHASHED, shared_folders
from moorage.temp.pages import FrontPages


class AcceptorSettings(msgspec.Struct, frozen=True):
    """Settings of each of them.

    Attributes:
        title: heading of the pages that they have in memory.
        jupyter_path: JUPYTER_PATH of servers, whose files are shared.
        pages_at_once: how many connections each may have to the pages of the service.
        by_host: whether servers have host names of their own.
    """

    title: str
    jupyter_path: str = ""
    pages_at_once: int = ProxySettings.pages_at_once
    by_host: bool = False

    def proxy(self) -> ProxySettings:
        """Return the settings of a proxy in front of a service."""
        pages = FrontPages(self.title)
        silent = dict.fromkeys((502, 503, 504), pages.silent().encode())
        crowded = pages.crowded().encode()
        return ProxySettings(
            forwarding=Forwarding(host_routing=self.by_host),
            pages=silent,
            crowded=crowded,
            pages_at_once=self.pages_at_once,
        )

    def shared(self) -> SharedFiles:
        """Return the files that servers share."""
        return SharedFiles(shared_folders({"JUPYTER_PATH": self.jupyter_path}), UNHASHED)
