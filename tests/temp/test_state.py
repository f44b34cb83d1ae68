"""State directories."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from moorage.errors import OutputError, UsageError
from moorage.temp.state import opened, state_path


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder:
        yield Path(folder) / "a" / "b"


def test_it_is_private_and_of_one_process(path: Path) -> None:
    with opened(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        with pytest.raises(UsageError, match=r"is in use.*Another moorage temp"), opened(path):
            raise AssertionError
    with opened(path):
        assert (path / "servers").is_dir()


def test_what_cannot_be_used_is_said(path: Path) -> None:
    path.mkdir(parents=True)
    path.chmod(0o755)
    with pytest.raises(UsageError, match="Others may enter"), opened(path):
        raise AssertionError
    (path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be used"), opened(path / "file"):
        raise AssertionError
    with pytest.raises(UsageError, match="longer than 107 bytes"), opened(path / ("x" * 100)):
        raise AssertionError


def test_the_directory_is_given_or_by_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    assert state_path("x", 1) == tmp_path / "x"
    assert state_path("/x", 1) == Path("/x")
    assert state_path("~/x", 1) == Path("/home/ann/x")
    assert state_path(None, 8000).parts[-2:] == ("temp", "8000")
