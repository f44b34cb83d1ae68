"""What options of ``moorage temp`` say of containers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
if sys.platform == "win32":
    pytest.skip("moorage temp does not run there", allow_module_level=True)

from moorage.cli.main import build_parser
from moorage.cli.temp_run import offering_of
from moorage.errors import UsageError
from moorage.plan.containers import ContainerKind, Mount
from moorage.temp.settings import TempSettings


def settings(*words: str) -> TempSettings:
    return offering_of(build_parser().parse_args(["temp", *words])).settings


def test_servers_run_in_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///x/docker.sock")
    found = settings(
        *("--place", "docker", "--image", "lab", "--user", "ann", "--docker-network", "n"),
        *("--mount", f"{tmp_path}:/data:rw", "--memory", "1G"),
    )
    assert found.engine == Path("/x/docker.sock")
    mounts = (Mount(str(tmp_path), "/data", writable=True),)
    assert found.command.container == ContainerKind("lab", "ann", mounts, "n")
    assert found.command.argv[0] == "jupyter-lab"
    assert (found.fork, found.share.memory) == (False, 1 << 30)
    assert settings("--no-walls").engine is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--place", "docker"], "--image is missing"),
        (["--image", "lab"], "--image goes with --place docker"),
        (["--docker-network", "n"], "--docker-network goes with"),
        (["--mount", "/a:/b"], "--mount goes with"),
        (["--place", "docker", "--image", "lab", "--sleep", "5"], "--sleep does not go with --place docker"),
        (["--place", "docker", "--image", "lab", "--no-walls"], "--no-walls does not go with"),
        (["--place", "docker", "--image", "lab", "--egress", "a.org"], "or none: --docker-network"),
        (["--place", "docker", "--image", "lab", "--with", "x"], "--with does not go with"),
        (["--place", "docker", "--image", "lab", "--readable", "/x"], "--mount shows them more"),
        (
            ["--place", "docker", "--image", "lab", "--command", "x {port}"],
            "cannot be with --docker-network none",
        ),
        (
            ["--place", "docker", "--image", "x", "--command", "x {socket}", "--server", "lab"],
            "does not go with",
        ),
        (["--place", "docker", "--image", "lab", "--docker-socket", "tcp://a:1"], "unix:///PATH"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        settings(*words)


def test_an_own_command_runs_in_a_container() -> None:
    found = settings(
        "--place", "docker", "--image", "app", "--docker-network", "n", "--command", "app {port} {base_path}"
    )
    assert found.command.argv == ("app", "{port}", "{base_path}")
    assert found.command.container == ContainerKind("app", network="n")
