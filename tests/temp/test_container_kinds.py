"""What options and tables say of containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage.errors import UsageError
from moorage.plan.containers import ContainerKind, Mount
from moorage.temp.container_kinds import AskedContainer, mount_of


def test_an_offer_has_an_image_of_its_own_and_the_rest_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    default = ContainerKind("", "ann", (Mount("/x", "/y"),), "some")
    found = AskedContainer("lab", mounts=("a:/b:rw",)).kind(default, tmp_path, [])
    assert found == ContainerKind(
        "lab", "ann", (Mount("/x", "/y"), Mount(str(tmp_path / "a"), "/b", True)), "some"
    )
    assert AskedContainer("lab", "ben", "other").kind(default, tmp_path, []) == ContainerKind(
        "lab", "ben", (Mount("/x", "/y"),), "other"
    )
    assert AskedContainer().kind(None, tmp_path, ["python"]) is None


def test_what_does_not_go_with_where_servers_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="network goes with --place docker"):
        AskedContainer(network="some").kind(None, tmp_path, [])
    with pytest.raises(UsageError, match="python does not go with --place docker"):
        AskedContainer("lab").kind(ContainerKind(""), tmp_path, ["python"])
    with pytest.raises(UsageError, match=r"egress does not go with .* Its network is the engine's: network"):
        AskedContainer("lab").kind(ContainerKind(""), tmp_path, ["egress"])


@pytest.mark.parametrize("text", ["a", "/a:b", ":/b", "/:/b:x", "/:/b:rw:"])
def test_a_mount_that_cannot_be(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be"):
        mount_of(text, tmp_path)


def test_a_mount_is_read_alone_unless_it_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert mount_of("a:/b", tmp_path) == Mount(str(tmp_path / "a"), "/b")
    assert mount_of("a:/b:ro", tmp_path) == Mount(str(tmp_path / "a"), "/b")
    with pytest.raises(UsageError, match="There is no"):
        mount_of("none:/b", tmp_path)
