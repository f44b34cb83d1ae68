"""What is known about kinds of kernels, and how each is recognised."""

from __future__ import annotations

import pytest

from moorage import kinds
from moorage.kinds import kind_by_reply, kind_of

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
