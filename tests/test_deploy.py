"""What is in ``deploy/``: its commands are ones that this moorage takes."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.cli.main import build_parser

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="moorage temp does not run on Windows")
DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
UNIT = DEPLOY / "moorage-temp.service"


def parsed(words: list[str]) -> dict[str, object]:
    return vars(build_parser().parse_args(words))


def unit() -> configparser.ConfigParser:
    read = configparser.RawConfigParser(strict=False)
    read.read_string(UNIT.read_text().replace("\\\n", " "))
    return read


def test_the_unit_starts_what_is_there_and_lets_servers_outlive_it() -> None:
    service = unit()["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program.endswith("/moorage")
    given = parsed(words)
    assert given["capacity"] == 150
    assert str(given["state"]).startswith(f"/var/lib/{service['StateDirectory']}/")
    assert service["StateDirectoryMode"] == "0700"
    assert service["KillMode"] == "process"
    assert int(service["LimitNOFILE"]) >= 20 * 150 + 112


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/moorage/bin/moorage", sys.executable))
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stderr) == (0, "")


def test_the_container_starts_what_is_there() -> None:
    lines = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
    words = [json.loads(each) for each in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", lines, re.MULTILINE)]
    program, *given = [*words[0], *words[1]]
    assert program.endswith("/moorage")
    assert parsed(given)["host"] == "0.0.0.0"
    compose = (DEPLOY / "compose.yaml").read_text()
    command = json.loads(re.findall(r"^ +command: (.*)$", compose, re.MULTILINE)[0])
    assert parsed([*words[0][1:], *command])["capacity"] == 30
    assert "init: true" in compose
    copied = re.findall(r"^COPY (.*) \S+$", lines, re.MULTILINE)
    assert all((DEPLOY.parent / name).exists() for each in copied for name in each.split())
