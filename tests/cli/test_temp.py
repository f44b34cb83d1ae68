"""``moorage temp`` on the command line."""

from __future__ import annotations

import sys

import pytest

from moorage.cli.main import build_parser, main


def test_defaults() -> None:
    options = build_parser().parse_args(["temp"])
    assert (options.host, options.port, options.server, options.command) == ("127.0.0.1", 8000, None, None)


def test_without_its_extra_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*sys.modules]:
        if name.startswith(("moorage.cli.temp_run", "moorage.temp")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert main(["temp"]) == 2
    said = capsys.readouterr().err
    assert "moorage temp needs aiohttp (E-EXTRA)" in said
    assert "[temp]" in said
