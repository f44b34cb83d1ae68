"""What the machine offers: looked at for real, and with one limit after the other drawn tight."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from moorage.doctor import machine as examined
from moorage.doctor.machine import machine
from moorage.installed import install_line
from moorage.process.netns.probe import obstacle

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="launching needs Linux")


@pytest.mark.anyio
async def test_everything_is_looked_at_and_has_advice_where_it_is_not_well():
    findings = [finding async for finding in machine(start=False)]
    abouts = [finding.about for finding in findings]
    assert abouts[:2] == ["launching", "isolation"]
    assert {"memory", "cores", "open files", "processes", "ports", "display", "make"} <= set(abouts)
    assert len(set(abouts)) == len(abouts)
    for finding in findings:
        assert finding.says
        assert finding.level == "ok" or finding.do, finding


@pytest.mark.anyio
async def test_launching_is_tried():
    found = await examined.launching()
    assert (found.level, found.do) == ("ok", "")
    assert found.seconds > 0


@pytest.mark.anyio
async def test_a_runtime_directory_that_cannot_be_used_is_reported(monkeypatch, tmp_path):
    tmp_path.chmod(0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    found = await examined.launching()
    assert found.level == "warn"
    assert f"not in {tmp_path}: " in found.says
    assert "XDG_RUNTIME_DIR" in found.do


@pytest.mark.anyio
async def test_where_nothing_can_be_launched_it_fails(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    found = await examined.launching()
    assert found.level == "fail"
    assert "cannot be started" in found.says


def test_isolation_is_tried():
    assert examined.isolation().level == ("ok" if obstacle() is None else "warn")


def limited(limit: str, look: str) -> str:
    """Return what is found below a limit, by a process that may be limited."""
    show = "print(found.level, found.says, found.do)"
    code = f"from moorage.doctor.machine import {look} as look; found = look(); {show}"
    argv = ["sh", "-c", f'{limit} && exec "$@"', "sh", sys.executable, "-c", code]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize(
    ("limit", "look", "says"),
    [
        (
            "ulimit -n 300",
            "open_files",
            "warn the limit of 300 carries 6 kernels at once Raise the limit: ulimit -n",
        ),
        ("ulimit -n 2000", "open_files", "ok the limit of 2000 carries 56 kernels"),
        ("PATH=/nowhere", "make", "ok GNU make is not here"),
    ],
)
def test_tight_limits_are_reported_with_what_to_do(limit, look, says):
    assert limited(limit, look).startswith(says)


@pytest.mark.anyio
async def test_without_xvfb_the_package_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    found = await examined.x_display(start=True)
    assert found.level == "warn"
    assert "apt-get install xvfb" in found.do


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("GNU Make 4.4.1\n", "GNU Make 4.4: its job server reaches every recipe"),
        ("GNU Make 4.3\n", "GNU Make 4.3: mark recipes that run moorage with +"),
        ("bmake\n", "GNU make is not here"),
    ],
)
def test_makes_of_all_ages(monkeypatch, tmp_path, told, says):
    program = tmp_path / "make"
    program.write_text(f"#!/bin/sh\nprintf '{told}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert examined.make().says.startswith(says)


def test_what_render_needs_is_named(monkeypatch):
    monkeypatch.setattr(examined, "_RENDER", ("json", "no_such_module"))
    found = examined.rendering()
    assert (found.level, found.do) == ("warn", f"Type: {install_line('render')}")
    assert "no_such_module" in found.says
    assert "json" not in found.says


@pytest.mark.parametrize(
    ("names", "environ", "level"),
    [
        (["moorage"], {}, "ok"),
        (["moorage"], {"JUPYTER_DEFAULT_PROVISIONER_NAME": "moorage"}, "ok"),
        ([], {}, "warn"),
        ([], {"JUPYTER_DEFAULT_PROVISIONER_NAME": "moorage"}, "fail"),
    ],
)
def test_the_plug_into_jupyter(monkeypatch, names, environ, level):
    pytest.importorskip("jupyter_client")
    from importlib.metadata import EntryPoint

    found = [EntryPoint(name, "x:y", "jupyter_client.kernel_provisioners") for name in names]
    monkeypatch.setattr(examined, "entry_points", lambda group: found)
    assert examined.plug(environ).level == level


@pytest.mark.timeout(60)
def test_what_is_no_regular_file_has_no_text(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert [examined._text(str(path)) for path in (tmp_path / "pipe", "/dev/zero", tmp_path)] == [""] * 3
    assert examined._text("/proc/self/status").startswith("Name:")


def test_no_watch_is_reported(monkeypatch):
    assert examined.watches().about == "file watches"
