"""What may be believed: files and folders of this user or root that no other user can change."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from foreign_user import STRANGER, give_away
from moorage import trust
from moorage.errors import ConfigurationError
from moorage.trust import counts, distrust, distrust_folder, is_foreign, is_trusted


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv(trust.VARIABLE, raising=False)
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.setattr(trust, "_told", set())
    folder = tmp_path / "project"
    folder.mkdir(mode=0o755)
    file = folder / "moorage.toml"
    file.write_text("")
    return file


def test_what_this_user_made_counts(file):
    assert distrust(file) is None
    assert distrust_folder(file.parent) is None
    assert counts(file)


def test_what_belongs_to_another_user_is_refused_and_the_way_out_is_said(file):
    give_away(file.parent)
    give_away(file)
    with pytest.raises(ConfigurationError) as caught:
        counts(file)
    assert f"{file} belongs to the user" in caught.value.why
    assert caught.value.do == f"If you trust all that lies there, set MOORAGE_TRUST={file.parent}"


def test_a_folder_of_another_user_is_refused(file):
    give_away(file.parent)
    assert distrust(file).why.startswith(f"{file.parent} belongs to the user")
    assert distrust_folder(file.parent).why.startswith(f"{file.parent} belongs to the user")


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_what_another_user_put_where_any_user_may_is_passed_over(file, mode, caplog):
    file.parent.chmod(mode)
    give_away(file)
    with caplog.at_level(logging.WARNING, logger="moorage.trust"):
        assert not counts(file)
        assert not counts(file)
    assert [record.getMessage() for record in caplog.records] == [
        f"{file} is passed over: it belongs to another user"
    ]


def test_a_link_of_another_user_to_a_file_of_this_one_is_passed_over(file, tmp_path):
    target = tmp_path / "elsewhere.toml"
    target.write_text("")
    file.unlink()
    file.symlink_to(target)
    assert counts(file)  # one's own link is one's own business
    file.parent.chmod(0o1777)
    give_away(file)
    assert not counts(file)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
def test_a_folder_that_any_user_may_write_to_is_refused(file, mode):
    file.parent.chmod(mode)
    with pytest.raises(ConfigurationError) as caught:
        counts(file)
    assert caught.value.why == f"Any user may write to {file.parent}"


def test_a_file_that_any_user_may_write_to_is_refused(file):
    file.chmod(0o666)
    assert distrust(file).why == f"Any user may write to {file}"


def test_a_group_that_is_this_users_alone_is_no_other_user(file):
    """Debian, Ubuntu and Fedora make such a group for every user, and some set umask 002."""
    os.chown(file, -1, os.getgid())
    private = trust._is_private(os.getgid())
    file.chmod(0o664)
    assert (distrust(file) is None) == private
    if os.geteuid() == 0:
        assert private


def test_a_group_of_several_is_refused(file):
    if os.geteuid() != 0:
        pytest.skip("only root may give a file to a group that it is not in")
    os.chown(file.parent, -1, 100)
    file.parent.chmod(0o2775)
    assert distrust(file).why == f"The group users may write to {file.parent}"
    os.chown(file.parent, -1, 4_000_000)
    file.parent.chmod(0o2775)
    assert distrust(file).why == f"The group 4000000 may write to {file.parent}"


def test_what_the_user_of_sudo_made_counts_for_root(file, monkeypatch):
    give_away(file.parent)
    give_away(file)
    monkeypatch.setenv("SUDO_UID", str(STRANGER))
    assert distrust(file) is None
    file.parent.chmod(0o777)
    assert distrust(file) is not None


@pytest.mark.parametrize("named", ["{folder}", "{above}", "/nowhere:{folder}", "*"])
def test_folders_that_the_user_names_are_trusted(file, monkeypatch, named):
    give_away(file.parent)
    give_away(file)
    monkeypatch.setenv("MOORAGE_TRUST", named.format(folder=file.parent, above=file.parent.parent))
    assert distrust(file) is None
    assert distrust_folder(file.parent) is None


@pytest.mark.parametrize("named", ["", "project", "{folder}/below", "{folder}x", "::"])
def test_other_names_trust_nothing(file, monkeypatch, named):
    monkeypatch.setenv("MOORAGE_TRUST", named.format(folder=file.parent))
    assert not is_trusted(file)


def test_a_folder_that_is_reached_by_a_link_is_trusted_by_either_name(file, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(file.parent)
    monkeypatch.setenv("MOORAGE_TRUST", str(tmp_path / "link"))
    assert is_trusted(file)
    monkeypatch.setenv("MOORAGE_TRUST", str(file.parent))
    assert is_trusted(tmp_path / "link" / file.name)


def test_one_s_own_folder_in_a_sticky_one_counts_and_in_a_free_for_all_it_does_not(file):
    inner = file.parent / "own"
    inner.mkdir(mode=0o755)
    file.parent.chmod(0o1777)
    assert distrust_folder(inner) is None
    file.parent.chmod(0o777)
    assert distrust_folder(inner).why == f"Any user may write to {file.parent}"


def test_what_belongs_to_another_user_is_foreign_by_both_ends_of_a_link(tmp_path, monkeypatch):
    for name in ("own", "theirs"):
        (tmp_path / name).touch()
        (tmp_path / f"to-{name}").symlink_to(tmp_path / name)
    (tmp_path / "lost").symlink_to(tmp_path / "nothing")
    give_away(tmp_path / "theirs")
    names = ("own", "to-own", "theirs", "to-theirs", "lost")
    assert [is_foreign(tmp_path / name) for name in names] == [False, False, True, True, False]
    monkeypatch.setenv("MOORAGE_TRUST", str(tmp_path))
    assert not is_foreign(tmp_path / "theirs")
