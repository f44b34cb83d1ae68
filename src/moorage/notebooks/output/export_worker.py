"""The process that turns notebooks into HTML and Markdown, run as ``python -m`` with this module.

nbconvert takes seconds to import and blocks while it works, so it lives in a process of its own. One JSON
request per line arrives on descriptor 0, one JSON reply per request leaves, in order: on descriptor 0 when
that is a socket, else on stdout. The process ends at the end of its input.

Request: ``{"id", "source_ipynb", "to", "out", "title"?, "folder"?, "remove_cells"?, "within"?,
"overwrite"?, "kept"?}``; see :class:`moorage.notebooks.output.export.ExportClient`.
Reply: ``{"id", "ok": true, "files": [...]}`` or ``{"id", "error": "..."}``. While a request is worked on,
``{"alive": true}`` comes every second.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from moorage.json_types import JsonObject

_BEAT = 1.0  # seconds between two signs of life
_LONGEST = 4000  # characters of an error: some show the whole of what they complain of


def main() -> None:
    """Answer requests until the input ends."""
    # jsonschema imports this grammar when it is installed, as it is beside JupyterLab, and compiles it for
    # 0.95 s to check "iri" formats, which notebooks do not have. It does without what cannot be imported.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment] # how an import is made to fail
    requests, replies = _streams()
    try:
        for line in requests:
            with _alive(replies):
                answer = _answer(line)
            _say(replies, answer)
    except (BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        # The run is gone, or the user stopped it: no answer is waited for.
        os._exit(0)


@contextmanager
def _alive(replies: IO[bytes]) -> Iterator[None]:
    """Give a sign of life every second of the block."""
    over = threading.Event()

    def beat() -> None:
        try:
            while not over.wait(_BEAT):
                _say(replies, {"alive": True})
        except OSError:  # the run is gone: the answer will find that out
            return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _say(replies: IO[bytes], what: JsonObject) -> None:
    replies.write(json.dumps(what).encode() + b"\n")
    replies.flush()


def _streams() -> tuple[IO[bytes], IO[bytes]]:
    requests = os.fdopen(0, "rb", closefd=False)
    two_way = stat.S_ISSOCK(os.fstat(0).st_mode)
    replies = os.fdopen(0 if two_way else os.dup(1), "wb", closefd=False)
    # What libraries print must not end up between replies.
    os.dup2(2, 1)
    return requests, replies


def _answer(line: bytes) -> JsonObject:
    identity: object = None
    try:
        request = json.loads(line)
        identity = request.get("id")
        files = _convert(request)
    # The boundary between one document and the next: whatever nbconvert, a template or a notebook's content
    # raises concerns this document alone, and is the answer to its request.
    except Exception as error:  # noqa: BLE001 - see above
        return {"id": identity, "error": _cut(f"{type(error).__name__}: {error}")}
    return {"id": identity, "ok": True, "files": [str(path) for path in files]}


def _cut(text: str) -> str:
    """Return the beginning and the end of a long text."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} […] {text[-half:]}"


def _convert(request: JsonObject) -> list[Path]:
    from moorage.notebooks.output.atomic import write_whole
    from moorage.notebooks.output.export import convert
    from moorage.notebooks.output.writer import Writer
    from moorage.regular import MOST_DOCUMENT, read_regular

    notebook = json.loads(read_regular(request["source_ipynb"], MOST_DOCUMENT))
    folder, within = request.get("folder"), request.get("within")
    write: Callable[[Path, bytes], None] = write_whole
    if within:
        kept = map(Path, request["kept"])
        write = Writer(Path(within), overwrite=request["overwrite"], documents=kept).bring
    return convert(
        notebook,
        request["to"],
        Path(request["out"]),
        title=request.get("title"),
        folder=Path(folder) if folder else None,
        remove_cells=request.get("remove_cells") or (),
        links=request.get("links") or {},
        write=write,
    )


if __name__ == "__main__":
    main()
