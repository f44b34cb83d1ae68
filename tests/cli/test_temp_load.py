"""``moorage temp load`` on the command line."""

from __future__ import annotations

import sys

import pytest

from moorage.cli.main import build_parser, main


def test_defaults() -> None:
    options = build_parser().parse_args(["temp", "load", "http://localhost:8000/"])
    assert (options.visitors, options.within, options.notebooks, options.minutes) == (20, 60.0, 1, 3.0)
    assert not options.yes_it_is_mine


def test_the_service_itself_is_still_a_verb() -> None:
    assert build_parser().parse_args(["temp", "--spares", "1"]).spares == 1


def test_without_its_extra_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*sys.modules]:
        if name.startswith(("moorage.cli.temp_load_run", "moorage.load")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert main(["temp", "load", "localhost"]) == 2
    said = capsys.readouterr().err
    assert "moorage temp load needs aiohttp (E-EXTRA)" in said
    assert "[temp]" in said


def test_no_stranger_is_attacked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["temp", "load", "https://example.org/"]) == 2
    assert "example.org may not be this machine (E-USAGE)." in capsys.readouterr().err
