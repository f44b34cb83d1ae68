"""What is asked for one visitor, and what that comes to."""

from __future__ import annotations

import pytest

from moorage.errors import UsageError
from moorage.plan.walls import Share
from moorage.temp.shares import AskedShare, bytes_of, told, written

MIB = 1 << 20


def test_what_an_offer_asks_for_stands_over_what_the_command_line_does() -> None:
    below = AskedShare(processes=64, memory=400 * MIB, cpus=2.0)
    found = AskedShare(memory=1 << 30, cpus=0.5).over(below)
    assert found == AskedShare(processes=64, memory=1 << 30, cpus=0.5)
    assert AskedShare().over(below) == below


@pytest.mark.parametrize(
    ("asked", "share"),
    [
        (AskedShare(), Share()),
        (AskedShare(memory=256 * MIB), Share(memory=256 * MIB, disk=128 * MIB)),
        (AskedShare(memory=2 << 30), Share(memory=2 << 30)),
        (AskedShare(memory=1 << 30, disk=800 * MIB), Share(memory=1 << 30, disk=800 * MIB)),
        (AskedShare(cpus=1.5, processes=64), Share(cpus=1.5, processes=64)),
    ],
)
def test_what_it_comes_to(asked: AskedShare, share: Share) -> None:
    assert asked.share() == share


def test_files_leave_memory_for_the_rest() -> None:
    with pytest.raises(UsageError) as refused:
        AskedShare(disk=200 * MIB, memory=300 * MIB).share(dashes="")
    assert "disk 200M cannot be with memory 300M" in str(refused.value)
    assert "which is to have 128M beside them" in str(refused.value)


def test_sizes() -> None:
    assert [bytes_of(text) for text in ("512M", "2g", " 7 ", "3KiB", "1TB")] == [
        512 * MIB,
        2 << 30,
        7,
        3072,
        1 << 40,
    ]
    assert [bytes_of(text) for text in ("", "M", "-1M", "1.5G", "1X", "9" * 10)] == [0] * 6
    assert [written(each) for each in (512 * MIB, 2 << 30, 7, 3072)] == ["512M", "2G", "7", "3K"]


def test_words() -> None:
    assert told(Share()) == "512 MiB of files in memory, 512 processes and threads"
    assert told(Share(256 * MIB, 64, memory=1 << 30, cpus=1.5)) == (
        "1024 MiB of memory, 256 MiB of files among it, 64 processes and threads, 1.5 processors at most"
    )
