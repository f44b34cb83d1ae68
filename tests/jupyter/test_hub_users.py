"""Whose a server is: a folder, or an account of the system."""

from __future__ import annotations

import getpass
import os
import pwd
from pathlib import Path

import pytest

from moorage.errors import LaunchError, OutputError
from moorage.jupyter.hub_users import account_of, folder_name, folder_user


def test_a_folder_is_made_once_and_private(tmp_path: Path) -> None:
    user = folder_user("ann", tmp_path / "users")
    assert user.home == tmp_path / "users/ann"
    assert user.home.stat().st_mode & 0o777 == 0o700
    (user.home / "mine").touch()
    assert folder_user("ann", tmp_path / "users") == user
    assert (user.home / "mine").exists()
    assert user.process is None
    assert user.environment == {"USER": "ann", "HOME": str(user.home), "SHELL": "/bin/bash"}


@pytest.mark.parametrize(
    ("name", "folder"),
    [("ann", "ann"), ("a.b@c.org", "a.b@c.org"), ("../up", "%2E.%2Fup"), ("..", "%2E."), ("a/b", "a%2Fb")],
)
def test_no_name_leads_elsewhere(name: str, folder: str) -> None:
    assert folder_name(name) == folder


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "users").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        folder_user("ann", tmp_path / "users")


def test_the_hubs_own_account_needs_no_change_of_user() -> None:
    user = account_of(getpass.getuser())
    assert str(user.home) == pwd.getpwuid(os.geteuid()).pw_dir
    assert user.process is None


def test_a_user_without_an_account() -> None:
    with pytest.raises(LaunchError, match=r"no account on this machine.*users_dir"):
        account_of("no-such-user")


def test_another_account_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    found = account_of("daemon") if os.geteuid() == 0 else None
    assert found is None or (found.process is not None and found.process.user == "daemon")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(LaunchError, match="does not run as root"):
        account_of("daemon")
