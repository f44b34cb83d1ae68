"""The flags of ``moorage run``."""

from __future__ import annotations

import re
from pathlib import Path

from moorage.cli.main import build_parser


def test_the_reference_has_every_flag_and_no_other():
    page = (Path(__file__).parents[2] / "docs/reference/run.md").read_text()
    verbs = next(action.choices for action in build_parser()._actions if isinstance(action.choices, dict))
    flags = {flag for action in verbs["run"]._actions for flag in action.option_strings}
    assert set(re.findall(r"^\| `(--?[a-z-]+)", page, re.MULTILINE)) == flags - {"-h", "--help"}
