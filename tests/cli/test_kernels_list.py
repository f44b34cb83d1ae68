"""The list of kernel types."""

from __future__ import annotations

from mooring.cli.main import main


def test_it_lists(capsys):
    assert main(["kernels"]) == 0
    assert "python3" in capsys.readouterr().out
