"""The gist of a rendered notebook: its title, its first words, its first plot."""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from moorage.json_types import JsonObject
from moorage.notebooks.show import ansi
from moorage.regular import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LARGEST_FILE: Final = 200_000_000
_LARGEST_PICTURE: Final = 50_000_000
"""Pixels; a picture above is not decoded."""
_SIZES: Final = (((640, 480), 85), ((640, 480), 60), ((400, 300), 80), ((400, 300), 50))
"""Boxes in pixels and JPEG qualities, tried in this order; a card is 264 pixels wide."""
_RASTER: Final = ("image/png", "image/jpeg")
_ATX: Final = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*$")
_SETEXT: Final = re.compile(r"^ {0,3}(=+|-{3,})\s*$")
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_TAG: Final = re.compile(r"<[^>]*>")
_EMPHASIS: Final = re.compile(r"(\*\*|__|\*|`|(?<!\w)_|_(?!\w))")


class Picture(Struct, frozen=True):
    """An image output: its type and its bytes."""

    mime: str
    data: bytes

    @property
    def uri(self) -> str:
        """The picture as a ``data:`` URI; in an ``<img>`` even SVG can neither run scripts nor load."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode('ascii')}"


class Gist(Struct, frozen=True):
    """What a card shows of a notebook; empty where the notebook has none."""

    title: str = ""
    words: str = ""
    picture: Picture | None = None


def read_gist(path: Path) -> Gist:
    """Return the gist of the notebook at ``path``; an unreadable one has an empty gist."""
    try:
        if path.suffix != ".ipynb" or path.stat().st_size > _LARGEST_FILE:
            return Gist()
        return gist(json.loads(read_regular(path, _LARGEST_FILE)))
    except (OSError, ValueError, RecursionError):
        return Gist()


def gist(notebook: object) -> Gist:
    """Return the gist of a notebook given as plain data of whatever shape."""
    cells = [cell for cell in _list(_dict(notebook).get("cells")) if isinstance(cell, dict)]
    title, words = _heading(cells)
    return Gist(title, words, next(_pictures(cells), None))


def reduced(picture: Picture, limit: int) -> Picture | None:
    """Return ``picture`` in at most ``limit`` bytes, or None when that takes more than is installed here.

    Args:
        picture: an image output.
        limit: bytes.
    """
    if len(picture.data) <= limit:
        return picture
    if picture.mime not in _RASTER or find_spec("PIL") is None:
        return None
    # Pillow's decoders raise what they like on broken files (SyntaxError, struct.error ...), and turn their
    # bomb warning into an error under -W error: any of it means that there is no picture.
    try:
        return _downscaled(picture, limit)
    except Exception:  # noqa: BLE001 - see above
        return None


def _downscaled(picture: Picture, limit: int) -> Picture | None:
    from PIL import Image

    with Image.open(io.BytesIO(picture.data), formats=("PNG", "JPEG")) as image:
        if image.width * image.height > _LARGEST_PICTURE:
            return None
        image.thumbnail(_SIZES[0][0])
        opaque = Image.new("RGB", image.size, "white")
        coloured = image.convert("RGBA")
        opaque.paste(coloured, mask=coloured)
    for box, quality in _SIZES:
        buffer = io.BytesIO()
        opaque.thumbnail(box)
        opaque.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= limit:
            return Picture("image/jpeg", buffer.getvalue())
    return None


def _heading(cells: list[JsonObject]) -> tuple[str, str]:
    """Return the first Markdown heading and the first paragraph beside it."""
    title = ""
    words: list[str] = []
    for cell in cells:
        if cell.get("cell_type") != "markdown":
            continue
        lines = _text(cell.get("source")).split("\n")
        for at, line in enumerate(lines):
            match = _ATX.match(line)
            following = lines[at + 1] if at + 1 < len(lines) else ""
            heading = match[1] if match else line if line.strip() and _SETEXT.match(following) else ""
            if heading and not title:
                title = _unmarked(heading)[:200]
            elif not heading and line.strip() and not _SETEXT.match(line):
                words.append(_unmarked(line))
            elif words and title:
                break
        if title and words:
            break
    return title, " ".join(words)[:280]


def _unmarked(text: str) -> str:
    bare = _EMPHASIS.sub("", _TAG.sub("", _LINK.sub(r"\1", text)))
    return " ".join(ansi.strip(bare).split())


def _pictures(cells: list[JsonObject]) -> Iterator[Picture]:
    for cell in cells:
        for output in _list(cell.get("outputs")):
            data = _dict(_dict(output).get("data"))
            for mime in (*_RASTER, "image/svg+xml"):
                found = _decoded(mime, _text(data.get(mime)))
                if found:
                    yield Picture(mime, found)


def _decoded(mime: str, text: str) -> bytes:
    if mime == "image/svg+xml":
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _text(value: object) -> str:
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}
