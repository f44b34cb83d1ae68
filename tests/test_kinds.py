"""What is known about kinds of kernels, and how each is recognised."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import zmq
from IPython.core.interactiveshell import InteractiveShell

from moorage import kinds
from moorage.kinds import (
    INSTALL_COMMANDS,
    could_not_bind,
    giving_arguments,
    install_advice,
    kind_by_reply,
    kind_of,
    moving,
)

XPYTHON = ("python3.11", "-m", "xpython_launcher", "-f", "{connection_file}")


@pytest.mark.parametrize(
    ("argv", "is_one"),
    [
        (("/opt/bin/python", "-m", "ipykernel_launcher", "-f", "x"), True),
        (("python", "-m", "ipykernel", "-f", "x"), True),
        (("python", "-m", "ipykernel.kernelapp", "-f", "x"), True),
        (("python", "-m", "bash_kernel", "-f", "x"), True),
        (("python", "-m", "moorage.jupyter.ipykernel", "-f", "x"), True),
        (XPYTHON, False),
        (("R", "--slave", "-e", "IRkernel::main()", "--args", "x"), False),
        (("python", "-m", "my_ipykernel_thing"), False),
        (("/usr/bin/env", "A=b", "python3", "-m", "ipykernel_launcher", "-f", "x"), True),
        (("python", "-X", "frozen_modules=off", "-Wd", "-m", "ipykernel_launcher", "-f", "x"), True),
        (("docker", "run", "-v", "x:x", "image", "python3", "-m", "ipykernel_launcher", "-f", "x"), False),
        (("ssh", "box", "python3", "-m", "ipykernel_launcher", "-f", "x"), False),
        (("conda", "run", "-n", "a", "python", "-m", "ipykernel_launcher", "-f", "x"), False),
        (("srun", "-m", "ipykernel_launcher"), False),
        (("python", "serve.py", "-m", "ipykernel_launcher", "-f", "x"), False),
        (("python", "-c", "pass", "-m", "ipykernel"), False),
        (("my-kernel", "--like", "ipykernel.py"), False),
        ((), False),
    ],
)
def test_ipykernel_and_its_wrappers_are_known(argv, is_one):
    assert kind_of(argv).application is is_one


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        (("/opt/python", "-m", "ipykernel.kernelapp", "-f", "x"), kinds.IPYKERNEL),
        (("python", "-m", "octave_kernel", "-f", "x"), kinds.WRAPPERS),
        (("python", "-m", "gnuplot_kernel", "-f", "x"), kinds.APPLICATIONS),
        (XPYTHON, kinds.XEUS_PYTHON),
        (("/opt/bin/xpython", "-f", "x"), kinds.XEUS_PYTHON),
        (("/opt/bin/xr", "-f", "x"), kinds.XEUS_R),
        (("/opt/positron/ark", "--connection_file", "x"), kinds.ARK),
        (("C:\\ark\\Ark.exe",), kinds.OTHER),  # no path of this system
        (("deno", "jupyter", "--kernel"), kinds.OTHER),  # it is known by its reply
        (("/usr/bin/node", "/opt/bin/tslab", "kernel", "--config-path", "x"), kinds.TSLAB),
        (("tslab", "kernel"), kinds.TSLAB),
        (("x", "--like-ark"), kinds.OTHER),
        ((), kinds.OTHER),
    ],
)
def test_a_command_tells_the_kind(argv, kind):
    assert kind_of(argv) is kind


def test_a_display_name_may_tell_it():
    assert kind_of(("x",), "Ark R Kernel") is kinds.ARK


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        ({"implementation": "ipython"}, kinds.IPYKERNEL),
        ({"implementation": "IRkernel"}, kinds.IRKERNEL),
        ({"implementation": "xeus-python"}, kinds.XEUS_PYTHON),
        ({"implementation": "xeus-cpp"}, kinds.XEUS),
        ({"implementation": "Deno kernel"}, kinds.DENO),
        ({"implementation": "echo", "supported_features": ["debugger", "kernel subshells"]}, kinds.DERIVED),
        ({"implementation": "echo", "supported_features": ["debugger", {}]}, kinds.OTHER),
        ({"supported_features": "kernel subshells"}, kinds.OTHER),
        ({"implementation": None}, kinds.OTHER),
        ({}, kinds.OTHER),
    ],
)
def test_a_reply_tells_the_kind(info, kind):
    assert kind_by_reply(info) is kind


def test_a_name_belongs_to_one_kind():
    for names in ("modules", "programs", "packages", "implementations"):
        listed = [name for kind in kinds.KINDS for name in getattr(kind, names)]
        assert len(listed) == len(set(listed))
    assert len({kind.name for kind in kinds.KINDS}) == len(kinds.KINDS)


def test_what_a_template_runs_is_ipykernels_application():
    assert {"ipykernel", "ipykernel_launcher"} <= kinds.FORKABLE_MODULES
    assert all(kind.application for kind in kinds.KINDS if kind.forkable)


def test_what_a_kernel_says_of_itself_refines_what_its_command_tells():
    deno = kind_of(("deno", "jupyter")).refined({"implementation": "Deno kernel"})
    assert (deno.name, deno.interrupt, deno.in_order) == ("deno", "message", False)
    wrapped = kind_of(("python", "-m", "bash_kernel", "-f", "x")).refined({"implementation": "bash"})
    assert (wrapped.application, wrapped.ends_by_shell, wrapped.in_order) == (True, True, True)
    told = kind_of(("docker", "run", "x")).refined({"implementation": "ipython"})
    assert (told.application, told.forkable, told.ends_by_shell, told.in_order) == (False, False, True, True)
    ark = kinds.ARK.refined({"implementation": "ark"})
    assert (ark.registers, ark.dialect) == (True, "posit")
    assert kind_of(("x",)).refined({}) == kinds.OTHER


def test_what_is_known_of_ipython_is_asked_of_python_alone():
    assert kinds.IPYKERNEL.has_ipython("python")
    assert not kinds.WRAPPERS.has_ipython("bash")
    assert not kinds.XEUS_PYTHON.has_ipython("python")
    assert kinds.IPYKERNEL.warm_up("python") == "pass"
    assert kinds.WRAPPERS.warm_up("bash") == ""
    assert kinds.OTHER.warm_up("python") is None


def test_a_python_kernel_is_given_arguments_and_nothing_else(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x"])
    names = {}
    exec(giving_arguments(["a b", "'c'"]), names)
    assert sys.argv == ["a b", "'c'"]
    assert names.keys() <= {"__builtins__"}


def test_an_ipython_is_moved_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    monkeypatch.setenv("GOES", "1")
    monkeypatch.delenv("COMES", raising=False)
    shell = InteractiveShell()
    names = set(shell.user_ns)
    shell.run_cell(moving(str(tmp_path), {"COMES": "{a}", "GOES": None}), silent=True).raise_error()
    assert set(shell.user_ns) == names
    assert (Path.cwd(), os.environ["COMES"], os.environ.get("GOES")) == (tmp_path, "{a}", None)
    os.environ.pop("COMES")


def test_what_pyzmq_says_of_a_socket_it_cannot_bind():
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        with pytest.raises(zmq.ZMQError) as caught:
            socket.bind("ipc:///no/such/folder/k-1")
        socket.linger = 0
    assert could_not_bind(
        f"{type(caught.value).__module__}.{type(caught.value).__qualname__}: {caught.value}"
    )
    assert not could_not_bind("ModuleNotFoundError: No module named 'ipykernel'")


@pytest.mark.parametrize(
    ("language", "said"),
    [("R", "IRkernel::installspec"), ("julia", 'Pkg.add("IJulia")'), ("typescript", "deno jupyter")],
)
def test_the_command_is_reported(language, said):
    assert install_advice(language).startswith("Type: ")
    assert said in install_advice(language)


def test_of_other_languages_the_list_of_kernels_is_reported():
    assert install_advice("klingon").startswith("Install one: https://github.com/jupyter/jupyter/wiki")


def test_languages_are_spelled_as_kernelspecs_do():
    assert all(name == name.lower() for name in INSTALL_COMMANDS)
