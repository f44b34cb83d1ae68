"""What acceptors are told."""

from __future__ import annotations

from pathlib import Path

import msgspec

from moorage.temp.acceptor_settings import AcceptorSettings


def test_they_go_through_json_and_make_pages_and_folders(tmp_path: Path) -> None:
    told = AcceptorSettings("A course", str(tmp_path), 7)
    assert msgspec.json.decode(msgspec.json.encode(told), type=AcceptorSettings) == told
    settings = told.proxy()
    assert settings.pages_at_once == 7
    assert b"crowd" in settings.crowded
    assert b"does not answer" in settings.pages[503]
    static = tmp_path / "labextensions" / "x"
    static.mkdir(parents=True)
    (static / "main.0123456789abcdef0123.js").write_text("1")
    assert told.shared().find(b"/lab/extensions/x/main.0123456789abcdef0123.js") is not None
