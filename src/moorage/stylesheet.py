"""The stylesheet that all of moorage's pages share: colours, light and dark, and how text stands."""

from __future__ import annotations

from pathlib import Path


def stylesheet() -> str:
    """Return it, to stand in a page."""
    return Path(__file__).with_name("stylesheet.css").read_text("utf-8")
