"""What a page of JupyterLab or Notebook sends by itself, though its visitor does nothing.

A body is else taken for a visitor's input, and a tab that was forgotten would keep its server for ever; and a
server that is asleep would be woken by each of its looks.
"""

from __future__ import annotations

import re

from moorage.wire.http import RequestHead

_BY_ITSELF: tuple[tuple[bytes, re.Pattern[bytes]], ...] = (
    # JupyterLab 4.6 stores the arrangement of its tabs every ten seconds while in sight, changed or not.
    (b"PUT", re.compile(rb"(?:/(?!api/)[^/?]*)*?/lab/api/workspaces/[^/?]+(?:\?|$)")),
)
"""Methods and targets, each with its reason.

At rest JupyterLab 4 and Notebook 7 ask for kernels, sessions, terminals and folders, too, by GET and without
a body; their websockets carry PONGs alone then, which are control frames. Neither is taken for input anyway.
"""


def sent_by_the_page(head: RequestHead) -> bool:
    """Tell whether a page sends such a request by itself, again and again."""
    return any(head.method == method and target.match(head.target) for method, target in _BY_ITSELF)


_POLLED = re.compile(rb"/api/(?:kernels(?:/[^/]+)?|sessions|terminals|kernelspecs|me)|/lab/api/workspaces")
"""Paths below a server's URL that pages ask for again and again; ``me`` and ``kernelspecs`` once a minute."""
_FOLDERS = re.compile(rb"/api/contents(?:/.*)?")
_LISTS = re.compile(rb"\?(?:[^&]*&)*?content=1(?:&|$)")
_OPENS = re.compile(rb"[?&](?:type|format|download)=")
"""In the queries of a folder that is listed, and of a file that is opened; a path that is to be opened is
looked at before, without its content."""
_CHANNELS = re.compile(rb"/api/kernels/([^/]+)/channels")
_EVENTS = b"/api/events/subscribe"
_LSP = b"/lsp/ws/"
_BY_ITSELF_SAID = re.compile(rb'"msg_type"\s*:\s*"(?:kernel_info_request|comm_info_request)"')
"""What a page says to a kernel once it is connected again."""


def polled(head: RequestHead, path: bytes) -> bool:
    """Tell whether a page sends such a request by itself: to wake a server for it would wake it always.

    Args:
        head: of the request.
        path: of it below the server's URL.
    """
    if sent_by_the_page(head):
        return True
    if head.method not in {b"GET", b"HEAD"}:
        return False
    if _FOLDERS.fullmatch(path):
        return _LISTS.search(head.target) is not None and _OPENS.search(head.target) is None
    return _POLLED.fullmatch(path) is not None


def kernel_of(path: bytes) -> bytes:
    """Return the id of the kernel whose websocket is at a path below a server's URL; empty for none."""
    found = _CHANNELS.fullmatch(path)
    return b"" if found is None else found[1]


def can_be_held(path: bytes) -> bool:
    """Tell whether a websocket at a path below a server's URL can go on with a server in the place of it.

    That is one without a state of its own in the server.
    """
    return path == _EVENTS or bool(kernel_of(path))


def can_be_closed(path: bytes) -> bool:
    """Tell whether a page opens a websocket again by itself that was closed, and nothing is lost by that."""
    return path.startswith(_LSP)


def said_by_the_page(content: bytes) -> bool:
    """Tell whether a page says so to a kernel by itself, when it is connected again.

    Args:
        content: of a frame, in either of Jupyter's formats.
    """
    return _BY_ITSELF_SAID.search(content) is not None
