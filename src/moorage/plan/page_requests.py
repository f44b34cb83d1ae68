"""Which requests with a body a page sends by itself, though its visitor does nothing.

A body is else taken for a visitor's input, and a tab that was forgotten would keep its server for ever.
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
