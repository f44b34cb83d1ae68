"""What is written down of servers."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from moorage.errors import OutputError
from moorage.temp.record import FILE, ServerRecord, read_record, write_record

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
