"""Jupyter's own tools, each as a process of its own, with nothing but an environment variable set."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from command import Command, until, write
from moorage.discovery.kernelspec import names

pytestmark = pytest.mark.real

BIN = Path(sys.executable).parent
PLUGGED = {"JUPYTER_DEFAULT_PROVISIONER_NAME": "moorage", "PATH": f"{BIN}:{os.environ['PATH']}"}
WHO = """
import os
from ipykernel.kernelapp import IPKernelApp
parent = open(f"/proc/{os.getppid()}/cmdline").read()
print("agreed by", IPKernelApp.instance().transport, "under", "warden/main.py" in parent)
"""
PROOF = "agreed by ipc under True"
DYING = [sys.executable, "-c", "import sys; sys.exit('no such thing')", "{connection_file}"]


def notebook(*cells: str, kernel: str = "python3") -> str:
    return json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code",
                    "execution_count": None,
                    "id": f"c{number}",
                    "metadata": {},
                    "outputs": [],
                    "source": cell,
                }
                for number, cell in enumerate(cells)
            ],
            "metadata": {"kernelspec": {"display_name": "x", "language": "python", "name": kernel}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


def kernelspec(name: str, argv: list[str], **rest: object) -> dict[str, str]:
    spec = {"argv": argv, "display_name": name, "language": "python", **rest}
    return {f"share/kernels/{name}/kernel.json": json.dumps(spec)}


def tool(name: str) -> str:
    if not (BIN / name).is_file():
        pytest.skip(f"{name} is not installed")
    return str(BIN / name)


TOOLS = {
    "jupytext": ["jupytext", "--quiet", "--to", "ipynb", "--execute", "--output", "out.ipynb", "in.ipynb"],
    "nbconvert": ["jupyter-nbconvert", "--to", "notebook", "--execute", "--output", "out", "in.ipynb"],
    "papermill": ["papermill", "--no-progress-bar", "in.ipynb", "out.ipynb"],
    "nbclient": ["jupyter-execute", "--output=out", "in.ipynb"],
    "nbmake": ["pytest", "-q", "-p", "no:cacheprovider", "--nbmake", "--overwrite", "in.ipynb"],
}


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_starts_its_kernel_race_free(moorage: Command, name: str) -> None:
    write(moorage.cwd, {"in.ipynb": notebook(WHO)})
    program, *arguments = TOOLS[name]
    moorage.ended(moorage.launch([tool(program), *arguments], env=PLUGGED), code=0)
    written = moorage.cwd / ("in.ipynb" if name == "nbmake" else "out.ipynb")
    assert PROOF in written.read_text()


def test_jupyter_run_and_console(moorage: Command) -> None:
    write(moorage.cwd, {"who.py": WHO, "typed": f"exec({WHO!r})\nexit\n"})
    done = moorage.ended(moorage.launch([tool("jupyter-run"), "who.py"], env=PLUGGED), code=0)
    assert PROOF in done.stdout
    with (moorage.cwd / "typed").open() as typed:
        command = [tool("jupyter-console"), "--simple-prompt"]
        done = moorage.ended(moorage.launch(command, env=PLUGGED, stdin=typed), code=0)
    assert PROOF in done.stdout


@pytest.mark.drill
def test_workers_of_one_pytest_each_own_theirs(moorage: Command) -> None:
    write(moorage.cwd, {f"{number}.ipynb": notebook(WHO) for number in range(4)})
    names = [f"{number}.ipynb" for number in range(4)]
    command = [tool("pytest"), "-q", "-p", "no:cacheprovider", "--nbmake", "--overwrite", "-n", "2", *names]
    moorage.ended(moorage.launch(command, env=PLUGGED), code=0)
    assert all(PROOF in (moorage.cwd / name).read_text() for name in names)


def test_a_kernelspec_can_name_it_instead(moorage: Command) -> None:
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    named = {"kernel_provisioner": {"provisioner_name": "moorage", "config": {"rendezvous": "hold"}}}
    write(moorage.cwd, kernelspec("held", argv, metadata=named) | {"in.ipynb": notebook(WHO, kernel="held")})
    command = [tool("jupyter-execute"), "--output=out", "in.ipynb"]
    path = {"JUPYTER_PATH": str(moorage.cwd / "share"), "PATH": PLUGGED["PATH"]}
    moorage.ended(moorage.launch(command, env=path), code=0)
    assert "agreed by tcp under True" in (moorage.cwd / "out.ipynb").read_text()


@pytest.mark.parametrize(("program", "words"), [("docker", ["run", "image"]), ("ssh", ["box"])])
def test_an_ipykernel_behind_another_program_is_agreed_with_by_held_ports(
    moorage: Command, program: str, words: list[str]
) -> None:
    """At its far end no Unix socket of this machine may be; ports of the host may."""
    argv = [f"bin/{program}", *words, sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    argv[0] = str(moorage.cwd / argv[0])
    files = kernelspec("far", argv) | {"in.ipynb": notebook(WHO.replace(" under", ""), kernel="far")}
    files[f"bin/{program}"] = f'#!/bin/sh\nshift {len(words)}\nexec "$@"\n'
    write(moorage.cwd, files)
    (moorage.cwd / "bin" / program).chmod(0o755)
    env = {**PLUGGED, "JUPYTER_PATH": str(moorage.cwd / "share")}
    command = [tool("jupyter-execute"), "--output=out", "in.ipynb"]
    moorage.ended(moorage.launch(command, env=env), code=0)
    assert "agreed by tcp" in (moorage.cwd / "out.ipynb").read_text()
    done = moorage.ended(
        moorage.launch([sys.executable, "-m", "moorage", "render", "in.ipynb", "-o", "o.ipynb"], env=env)
    )
    assert done.code == 0, done.stderr
    assert "agreed by tcp" in (moorage.cwd / "o.ipynb").read_text()


@pytest.mark.parametrize("name", ["nbclient", "papermill", "nbconvert"])
def test_a_kernel_that_dies_while_starting_is_an_error_with_its_last_words(
    moorage: Command, name: str
) -> None:
    write(moorage.cwd, kernelspec("dying", DYING) | {"in.ipynb": notebook("1", kernel="dying")})
    program, *arguments = TOOLS[name]
    env = {**PLUGGED, "JUPYTER_PATH": str(moorage.cwd / "share")}
    done = moorage.ended(moorage.launch([tool(program), *arguments], env=env))
    assert done.code != 0
    assert "died while starting: exit code 1 (E-START). no such thing." in done.stderr


@pytest.mark.parametrize("kernel", ["python3", "xpython"])
def test_nothing_is_left_of_a_tool_that_was_killed(moorage: Command, kernel: str) -> None:
    if kernel not in names():
        pytest.skip(f"{kernel} is not installed")
    family = "import os, subprocess, time\nsubprocess.Popen(['setsid', 'sleep', '600'])\n"
    family += "open('up', 'w').close()\ntime.sleep(600)"
    write(moorage.cwd, {"in.ipynb": notebook(family, kernel=kernel)})
    runtime = moorage.cwd / "runtime"
    runtime.mkdir()
    # jupyter_client takes either, as it is used.
    env = {**PLUGGED, "JUPYTER_RUNTIME_DIR": str(runtime), "TMPDIR": str(runtime)}
    running = moorage.launch([tool("jupyter-execute"), "in.ipynb"], env=env)
    assert until((moorage.cwd / "up").exists, 60)
    assert len(moorage.left()) > 3
    assert list(runtime.glob("*.json"))
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert until(lambda: not moorage.left()), moorage.left()
    # Its connection file too: the tool, which would have deleted it, is no more.
    assert until(lambda: not list(runtime.glob("*.json"))), list(runtime.iterdir())
