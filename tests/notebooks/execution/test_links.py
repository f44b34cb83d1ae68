from __future__ import annotations

import os

import pytest

from moorage.errors import OutputError
from moorage.notebooks.execution.links import Links
from moorage.notebooks.planning.dependencies import FileLink
from recording_guard import Call, RecordingGuard


@pytest.fixture
def link(tmp_path) -> FileLink:
    (tmp_path / "base").mkdir()
    (tmp_path / "case").mkdir()
    (tmp_path / "base/Final.h5").write_text("data")
    return FileLink(tmp_path / "case/Initial.h5", tmp_path / "base/Final.h5")


def test_a_link_is_there_within_the_block_and_told_to_the_guard(link):
    guard = RecordingGuard()
    with Links(guard).placed([link]):
        assert link.place.read_text() == "data"
        assert str(link.place.readlink()) == "../base/Final.h5"
    assert not os.path.lexists(link.place)
    assert guard.calls == [
        Call("guard", link.place, "../base/Final.h5", exists=False),
        Call("unguard", link.place, None, exists=False),
    ]


def test_links_go_when_the_block_fails_and_when_a_later_one_cannot_be_made(link):
    with pytest.raises(ZeroDivisionError), Links().placed([link]):
        raise ZeroDivisionError
    assert not os.path.lexists(link.place)
    other = FileLink(link.place.with_name("taken"), link.target)
    other.place.write_text("mine")
    with pytest.raises(OutputError, match="taken is in the way of a link"), Links().placed([link, other]):
        pass
    assert not os.path.lexists(link.place)
    assert other.place.read_text() == "mine"
    guard = RecordingGuard()
    gone = FileLink(link.place.parent / "gone/x", link.target)
    with pytest.raises(OutputError, match="cannot be made a link"), Links(guard).placed([gone]):
        pass
    assert [(each.what, each.path) for each in guard.calls] == [
        ("guard", gone.place),
        ("unguard", gone.place),
    ]


def test_two_notebooks_share_a_link_until_the_last_ends(link):
    links = Links()
    with links.placed([link]):
        with links.placed([link]):
            assert link.place.exists()
        assert link.place.exists()
    assert not os.path.lexists(link.place)


def test_a_link_of_the_users_stays(link):
    link.place.symlink_to(link.target)
    with Links().placed([link]):
        pass
    assert link.place.is_symlink()


def test_what_the_notebook_put_in_its_place_stays(link):
    with Links().placed([link]):
        link.place.unlink()
        link.place.write_text("made by the notebook")
    assert link.place.read_text() == "made by the notebook"


def test_links_lead_right_where_a_folder_is_a_link(link, tmp_path):
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "short").symlink_to("far/away")
    with Links().placed([FileLink(tmp_path / "short/x.h5", link.target)]):
        assert (tmp_path / "far/away/x.h5").read_text() == "data"


def test_a_file_to_come_can_be_linked(link):
    link.target.unlink()
    with Links().placed([link]):
        link.target.write_text("later")
        assert link.place.read_text() == "later"
