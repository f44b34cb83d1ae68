"""Invitations on disk, and what links say."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.errors import OutputError
from moorage.temp import invitation_book
from moorage.temp.identity import Identity
from moorage.temp.invitation_book import FOLDER, LONGEST, SHOWN, InvitationBook

IDENTITY = Identity(b"k" * 32)


@pytest.fixture
def book(tmp_path: Path) -> InvitationBook:
    return InvitationBook(IDENTITY, tmp_path)


@pytest.mark.parametrize("offer", ["", "physics", "a.b-c_d", "x" * 64])
def test_a_link_says_what_was_signed(book: InvitationBook, offer: str) -> None:
    made = book.issue(offer, 100_000, 10_000_000_000).invitation
    token = book.token(made)
    assert book.read(token) == made
    assert len(token) <= LONGEST
    assert token.replace("~", "").replace(offer, "").isalnum()
    assert InvitationBook(Identity(b"x" * 32), Path("/none")).read(token) is None


def test_no_other_link_is_taken(book: InvitationBook) -> None:
    token = book.token(book.issue("physics", 3, 60.0).invitation)
    for place in range(len(token)):
        for other in {"0", "9", "~", "é", "\x00", ""} - {token[place]}:
            assert book.read(token[:place] + other + token[place + 1 :]) is None
    for wrong in ("", "~", token + "0", token * 9, "~" * 500, "\ud800", token.upper(), token[1:]):
        assert book.read(wrong) is None


@given(st.text())
def test_whatever_a_link_holds_is_no_error(text: str) -> None:
    assert InvitationBook(IDENTITY, Path("/none")).read(text) is None


def test_a_signature_for_one_purpose_is_none_for_another(book: InvitationBook) -> None:
    said = book.token(book.issue("", 1, 60.0).invitation).rpartition("~")[0]
    cookie = IDENTITY.visitor_field(said, secure=False).partition(";")[0].rpartition(".")[2]
    assert book.read(f"{said}~{cookie[:32]}") is None


def test_seats_are_remembered_by_the_next_service(book: InvitationBook, tmp_path: Path) -> None:
    made = book.issue("physics", 2, 60.0).invitation
    assert [book.take(made, "a"), book.take(made, "a"), book.take(made, "b")] == [True, False, True]
    again = InvitationBook(IDENTITY, tmp_path)
    assert again.take(made, "c") is None
    assert (again.take(made, "a", ["a"]), again.state(made, ["c"])) == (False, "used up")
    again.give_back(made, "b")
    again.give_back(made, "b")
    assert InvitationBook(IDENTITY, tmp_path).take(made, "c", ["x"]) is True
    assert again.withdraw(made.id)
    assert not again.withdraw("x")
    last = InvitationBook(IDENTITY, tmp_path)
    assert (last.state(made, ["a"]), last.invites(["a"], "physics")) == ("withdrawn", False)


def test_a_seat_is_brought_to_the_name_that_a_browser_counts_by(book: InvitationBook, tmp_path: Path) -> None:
    made = book.issue("physics", 1, 60.0).invitation
    book.take(made, "a")
    assert not book.bring("b", ["b"], "physics")
    assert not book.bring("b", ["a", "b"], "chemistry")
    assert book.bring("a", ["a", "b"], "physics")
    assert book.bring("b", ["a", "b"], "physics")
    assert not book.bring("a", ["a"], "physics")
    assert [each.seated for each in InvitationBook(IDENTITY, tmp_path)] == [("b",)]
    book.withdraw(made.id)
    assert not book.bring("b", ["a", "b"], "physics")


def test_the_files_are_for_the_user_alone(book: InvitationBook, tmp_path: Path) -> None:
    book.issue("physics", 2, 60.0)
    (file,) = (tmp_path / FOLDER).iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_service_that_was_killed_while_it_wrote_has_the_record_of_before(
    book: InvitationBook, tmp_path: Path
) -> None:
    made = book.issue("", 2, 60.0).invitation
    book.take(made, "a")
    (tmp_path / FOLDER / f"{made.id}.new").write_text('{"invit')
    again = InvitationBook(IDENTITY, tmp_path)
    (found,) = again
    assert found.seated == ("a",)
    assert again.take(made, "b") is True


def test_a_file_that_cannot_be_read_lets_in_none_and_is_told(
    book: InvitationBook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = book.issue("", 2, 60.0).invitation
    (tmp_path / FOLDER / made.id).write_text("x")
    again = InvitationBook(IDENTITY, tmp_path)
    assert again.state(made, []) == "withdrawn"
    assert "counts as withdrawn" in caplog.text


def test_a_seat_that_cannot_be_written_down_is_not_taken(
    book: InvitationBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = book.issue("", 1, 60.0).invitation

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(invitation_book, "write_private", full)
        with pytest.raises(OutputError, match="No space left"):
            book.take(made, "a")
        with pytest.raises(OutputError, match="No space left"):
            book.withdraw(made.id)
    assert book.take(made, "b") is True
    with monkeypatch.context() as patch:
        patch.setattr(invitation_book, "write_private", full)
        book.give_back(made, "b")  # the log says that it stays taken
    assert book.take(made, "c") is None
    said = json.loads((tmp_path / FOLDER / made.id).read_text())
    assert said["seated"] == ["b"]


def test_what_has_expired_is_listed_for_a_day_and_then_forgotten(
    book: InvitationBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = book.issue("", 1, 60.0).invitation
    for later, there in ((70.0, 2), (70.0 + SHOWN, 2)):  # each makes one more
        monkeypatch.setattr(invitation_book.time, "time", lambda later=later: made.until + later)
        book.issue("", 1, 60.0)
        assert len(list(book)) == len(list((tmp_path / FOLDER).iterdir())) == there
    assert book.state(made, []) == "expired"
