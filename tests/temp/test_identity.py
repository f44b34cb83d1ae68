"""Cookies and forms."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from moorage.errors import OutputError
from moorage.temp.identity import KEY_BYTES, WITHHELD, Identity, read_key, write_private

ONE, OTHER = Identity(b"1" * 32), Identity(b"2" * 32)


def cookie(field: str) -> str:
    return field.partition(";")[0]


def test_a_visitor_is_known_again_by_its_own_service_alone() -> None:
    visitor = ONE.new_visitor()
    mine = cookie(ONE.visitor_field(visitor, secure=False))
    assert ONE.visitors(f"a=b; {mine}; c=d") == [visitor]
    assert OTHER.visitors(mine) == []
    assert ONE.visitors("") == []
    assert ONE.visitors("a=b; é") == []
    name, _, value = mine.partition("=")
    assert ONE.visitors(f"{name}=x{value}") == []
    assert ONE.visitors(f"{name}={visitor}") == []
    assert ONE.visitors(f"{name}=é.{value}") == []
    assert ONE.visitors(f"{name}=.") == []
    assert name.encode().startswith(WITHHELD)


def test_a_browser_that_got_two_cookies_at_once_has_both() -> None:
    both = {visitor: cookie(ONE.visitor_field(visitor, secure=False)) for visitor in ("b", "a")}
    assert ONE.visitors("; ".join(both.values())) == ["a", "b"]


def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites() -> None:
    field = ONE.server_field("s1", "ann", "/user/s1/", secure=True)
    assert field.startswith(ONE.server_cookie("s1", "ann") + "; Path=/user/s1/; ")
    assert field.endswith("HttpOnly; SameSite=Lax; Secure")
    assert "Secure" not in ONE.visitor_field("ann", secure=False)


def test_what_opens_one_server_opens_no_other() -> None:
    cookies = {ONE.server_cookie(server, visitor) for server in ("s1", "s2") for visitor in ("ann", "bob")}
    assert len(cookies) == 4


def test_a_form_is_of_one_visitor() -> None:
    token = ONE.form_token("ann")
    assert ONE.is_form_token(token, "ann")
    assert not ONE.is_form_token(token, "bob")
    assert not ONE.is_form_token("é", "ann")
    assert not ONE.is_form_token(ONE.server_cookie("s", "ann"), "ann")


def test_names_are_new() -> None:
    assert len({ONE.new_visitor() for _ in range(100)} | {ONE.new_server() for _ in range(100)}) == 200


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    key = read_key(tmp_path / "key")
    assert len(key) == KEY_BYTES
    assert read_key(tmp_path / "key") == key
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"x")
    (tmp_path / "link").symlink_to("short")
    (tmp_path / "folder").mkdir()
    for name in ("short", "link", "folder", "short/key"):
        with pytest.raises(OutputError):
            read_key(tmp_path / name)


def test_private_files_are_new(tmp_path: Path) -> None:
    write_private(tmp_path / "a", b"x")
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "a", b"y")
