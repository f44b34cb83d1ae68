"""What is written down of servers."""

from __future__ import annotations

import asyncio
import logging
import stat
from pathlib import Path

import msgspec
import pytest

from moorage.errors import OutputError
from moorage.temp.record import FILE, ServerRecord, read_record, remove_directory, write_record

RECORD = ServerRecord("ann", "unix:/x/s", "/user/a/api", jupyter=True, stripped=False)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    assert read_record(tmp_path) == RECORD
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    other = ServerRecord(None, "unix:/x/s", "/user/a/api", jupyter=True, stripped=False)
    write_record(tmp_path, other)
    assert read_record(tmp_path) == other
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    with pytest.raises(OutputError, match="cannot be written"):
        write_record(tmp_path / "nowhere", RECORD)


@pytest.mark.parametrize("text", [b"", b"{", b"{}", b"[1]"])
def test_what_is_no_record_is_none(tmp_path: Path, text: bytes) -> None:
    assert read_record(tmp_path) is None
    (tmp_path / FILE).write_bytes(text)
    assert read_record(tmp_path) is None


def test_a_directory_goes_with_its_own_groups(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "moorage.temp")
    server = tmp_path / "0f"
    own, used, other = (tmp_path / name for name in ("a/moorage-0f", "b/moorage-0f", "a/moorage-1f"))
    for folder in (server, own, used / "in use", other):
        folder.mkdir(parents=True)
    write_record(server, msgspec.structs.replace(RECORD, groups=(str(own), str(used), str(other))))
    asyncio.run(remove_directory(server))
    assert not server.exists()
    assert [own.exists(), used.exists(), other.exists()] == [False, True, True]
    assert caplog.messages == [f"The control group {used} cannot be removed"]
    asyncio.run(remove_directory(server))  # nothing is there
