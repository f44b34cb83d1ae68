"""The token of the admin page."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from moorage.errors import OutputError
from moorage.temp.admin_token import FILE, admin_token


def test_it_is_made_once_and_for_the_user_alone(tmp_path: Path) -> None:
    token = admin_token(tmp_path)
    assert len(token) >= 40
    assert admin_token(tmp_path) == token
    assert [each.name for each in tmp_path.iterdir()] == [FILE]
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "short", "x" * 300, "a b" * 20, "é" * 40])
def test_a_file_that_holds_none_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(OutputError, match="holds no token"):
        admin_token(tmp_path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("x" * 40)
    (tmp_path / FILE).symlink_to("other")
    with pytest.raises(OutputError, match="cannot be read"):
        admin_token(tmp_path)
