"""Which commands get a configuration file more."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from moorage.process.base import LaunchSpec
from moorage.process.ipykernel_patches.arguments import starts_application, unbounded


def added(command: str) -> list[str]:
    spec = LaunchSpec(tuple(shlex.split(command)), "/", {})
    return list(unbounded(spec).argv[len(spec.argv) :])


@pytest.mark.parametrize(
    "command",
    [
        "python -m ipykernel_launcher -f k.json",
        "/usr/bin/python3.11 -m ipykernel -f k.json --debug",
        "python3 -Xfrozen_modules=off -E -m bash_kernel --f=k.json",
        "pypy3 -m octave_kernel --IPKernelApp.connection_file=k.json",
    ],
)
def test_a_python_that_starts_ipykernels_application_reads_one_file_more(command):
    (word,) = added(command)
    assert Path(word.removeprefix("--config=")).is_file()


@pytest.mark.parametrize(
    "command",
    [
        "docker run -v /x:/x image python -m ipykernel_launcher -f k.json",
        "ssh box python3 -m ipykernel_launcher -f k.json",
        "python wrapper.py -m ipykernel_launcher -f k.json",
        "python -m ipykernel_launcher",
        "python -m ipykernel install -f k.json --config=own.py",
        "python -m ipykernel_launcher -f k.json --config=own.py",
        "python -m ipykernel_launcher -f k.json --IPKernelApp.extra_config_file=own.py",
        "python -m xpython_launcher -f k.json",
        "xpython -f k.json",
        "python -m",
        "python",
    ],
)
def test_everything_else_is_started_as_it_is(command):
    assert added(command) == []


def test_no_command_is_none():
    assert not starts_application(())
