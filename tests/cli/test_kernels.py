"""The verb ``kernels`` and its actions."""

from __future__ import annotations

from moorage.cli.main import build_parser


def test_without_an_action_it_lists():
    alone = build_parser().parse_args(["kernels"])
    assert alone.run is build_parser().parse_args(["kernels", "list"]).run
