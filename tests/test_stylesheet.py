"""The shared stylesheet."""

from __future__ import annotations

import re

from moorage.stylesheet import stylesheet


def test_it_needs_nothing_from_elsewhere_and_defines_what_it_uses() -> None:
    text = stylesheet()
    assert not re.search(r"url\(|@import|</", text)
    assert text.count("{") == text.count("}")
    light, dark = text.split("@media (prefers-color-scheme: dark)")
    assert set(re.findall(r"var\((--[\w-]+)\)", text)) <= set(re.findall(r"(--[\w-]+):", light))
    assert "color-scheme: light dark" in light
    assert "--page: #1" in dark
