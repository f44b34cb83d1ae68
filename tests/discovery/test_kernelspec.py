"""What can run here, found as Jupyter finds it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from moorage import kinds
from moorage.discovery import kernelspec
from moorage.discovery.kernelspec import KernelSpec, data_directories, find, find_by_language, names, native
from moorage.errors import KernelTypeNotFound


@pytest.fixture
def environ(tmp_path, monkeypatch):
    """A machine of its own: nothing but what the test installs."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "prefix"))
    monkeypatch.setattr(kernelspec, "native", lambda: None)
    everywhere = data_directories
    monkeypatch.setattr(
        kernelspec,
        "data_directories",
        lambda environ: [path for path in everywhere(environ) if path.is_relative_to(tmp_path)],
    )
    return {"JUPYTER_DATA_DIR": str(tmp_path / "user")}


def install(root, name, content=None, **more):
    folder = Path(root) / "kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "argv": ["x", "{connection_file}"],
        "display_name": f"{root.name}'s",
        "language": "Scheme",
        **more,
    }
    (folder / "kernel.json").write_text(json.dumps(made) if content is None else content)
    return folder


# -- where -----------------------------------------------------------------------------------------


def test_the_order_is_jupyter_path_user_prefix_system(environ, tmp_path):
    environ["JUPYTER_PATH"] = os.pathsep.join([str(tmp_path / "one"), "", str(tmp_path / "two")])
    found = data_directories(environ)
    assert found[:4] == [
        tmp_path / "one",
        tmp_path / "two",
        tmp_path / "user",
        tmp_path / "prefix/share/jupyter",
    ]
    assert found[-1] == Path("/usr/share/jupyter")


@pytest.mark.parametrize(
    ("setting", "venv", "own_first"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"JUPYTER_PREFER_ENV_PATH": "0"}, True, False),
        ({"JUPYTER_PREFER_ENV_PATH": "1"}, False, True),
        ({"JUPYTER_PREFER_ENV_PATH": "off"}, True, False),
        ({"CONDA_PREFIX": "PREFIX", "CONDA_DEFAULT_ENV": "work"}, False, True),
        ({"CONDA_PREFIX": "PREFIX", "CONDA_DEFAULT_ENV": "base"}, False, False),
        ({"CONDA_PREFIX": "/elsewhere", "CONDA_DEFAULT_ENV": "work"}, False, False),
    ],
)
def test_an_environment_comes_before_the_user(environ, tmp_path, monkeypatch, setting, venv, own_first):
    if venv:
        monkeypatch.setattr(sys, "base_prefix", "/usr")
    environ.update({key: value.replace("PREFIX", sys.prefix) for key, value in setting.items()})
    found = data_directories(environ)
    assert (found.index(tmp_path / "prefix/share/jupyter") < found.index(tmp_path / "user")) is own_first


def test_the_users_directory(environ, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path / "xdg/jupyter" in data_directories({"XDG_DATA_HOME": str(tmp_path / "xdg")})
    assert tmp_path / ".local/share/jupyter" in data_directories({})


def test_the_first_of_a_name_wins(environ, tmp_path):
    environ["JUPYTER_PATH"] = str(tmp_path / "first")
    for place in ("user", "first"):
        install(tmp_path / place, "scheme")
    assert find("scheme", environ).display_name == "first's"
    assert names(environ) == ["scheme"]


# -- what ------------------------------------------------------------------------------------------


def test_a_kernelspec_is_read(environ, tmp_path):
    folder = install(
        tmp_path / "user",
        "Scheme",
        env={"A": "${B}", "N": 1},
        interrupt_mode="message",
        metadata={"m": 1},
        kernel_protocol_version="5.5",
    )
    spec = find("spec/SCHEME", environ)
    assert spec == KernelSpec(
        name="scheme",
        argv=("x", "{connection_file}"),
        display_name="user's",
        language="scheme",
        env={"A": "${B}", "N": "1"},
        interrupt_mode="message",
        metadata={"m": 1},
        resource_dir=folder,
        protocol_version="5.5",
    )
    assert spec.kernel_type == "spec/scheme"
    assert "${B}" not in repr(spec)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[" * 100_000,
        "[]",
        "null",
        "{}",
        '{"argv": "python -m x"}',
        '{"argv": []}',
        '{"argv": [1]}',
        '{"argv": null}',
        '{"argv": ["x"], "env": 5}',
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_a_broken_kernelspec_is_reported_by_its_path(environ, tmp_path, content):
    folder = install(tmp_path / "user", "broken", content)
    with pytest.raises(KernelTypeNotFound, match="cannot be read") as caught:
        find("broken", environ)
    assert str(folder / "kernel.json") in caught.value.why


def test_a_broken_kernelspec_disturbs_no_other(environ, tmp_path):
    install(tmp_path / "user", "abroken", "{")
    install(tmp_path / "user", "scheme")
    assert find("scheme", environ).name == "scheme"
    assert find_by_language("SCHEME", environ).name == "scheme"


def test_folders_that_are_no_kernelspecs(environ, tmp_path):
    install(tmp_path / "user", "has space")
    (tmp_path / "user/kernels/empty").mkdir()
    (tmp_path / "user/kernels/file").touch()
    assert names(environ) == []


@pytest.mark.parametrize(
    ("asked", "advice"),
    [("shceme", "Did you mean scheme?"), ("zzz", "Here are: scheme"), ("spec/schem", "Did you mean scheme?")],
)
def test_near_names_are_offered(environ, tmp_path, asked, advice):
    install(tmp_path / "user", "scheme")
    with pytest.raises(KernelTypeNotFound) as caught:
        find(asked, environ)
    assert advice in caught.value.do


def test_nothing_is_installed_at_all(environ):
    with pytest.raises(KernelTypeNotFound, match="pip install ipykernel"):
        find("python3", environ)
    assert find_by_language("scheme", environ) is None


# -- how -------------------------------------------------------------------------------------------


def made(*argv, **rest):
    return KernelSpec("n", argv, "N", "l", **rest)


def test_placeholders_are_filled_in_and_others_stay(tmp_path):
    spec = made(
        "x", "{connection_file}", "a{prefix}b", "{resource_dir}", "{other}", "{}", resource_dir=tmp_path
    )
    assert spec.command(Path("/c{prefix}"), ("--more",)) == (
        "x",
        "/c{prefix}",
        f"a{sys.prefix}b",
        str(tmp_path),
        "{other}",
        "{}",
        "--more",
    )


@pytest.mark.parametrize("name", ["python", "python3", "python{}.{}".format(*sys.version_info)])
def test_a_bare_python_is_this_interpreter(name):
    assert made(name, "-m", "x").command(Path("c"))[0] == sys.executable


@pytest.mark.parametrize("name", ["python2", "/usr/bin/python3", "pypy"])
def test_any_other_program_is_itself(name):
    assert made(name, "python").command(Path("c")) == (name, "python")


def test_variables_are_expanded_from_the_surroundings_only():
    spec = made("x", env={"A": "${HOME}/a:$PATH", "B": "${A}", "C": "${UNKNOWN} $ 5"})
    assert spec.environment({"HOME": "/h", "PATH": "/p"}) == {
        "HOME": "/h",
        "PATH": "/p",
        "A": "/h/a:/p",
        "B": "${A}",
        "C": "${UNKNOWN} $ 5",
    }


def test_the_native_kernel_is_this_interpreter():
    spec = native()
    assert spec.argv[0] == sys.executable
    assert (spec.name, spec.language) == ("python3", "python")
    assert find_by_language("IPython") == spec


def test_a_kernelspec_called_python3_beats_the_native_one(environ, tmp_path, monkeypatch):
    monkeypatch.setattr(kernelspec, "native", native)
    assert find("python3", environ).resource_dir is None
    assert names(environ) == ["python3"]
    install(tmp_path / "user", "python3")
    assert find("python3", environ).display_name == "user's"


def test_variables_are_expanded_as_string_template_does():
    spec = KernelSpec(
        "x", ("x",), "X", "", env={"A": "$${HOME}", "B": "$$", "C": "${HOME}$HOME", "D": "${NO} $1"}
    )
    told = spec.environment({"HOME": "/h"})
    assert (told["A"], told["B"], told["C"], told["D"]) == ("${HOME}", "$", "/h/h", "${NO} $1")


def test_a_folder_whose_name_jupyter_does_not_take_is_refused(environ, tmp_path):
    install(tmp_path / "user", "My Kernel")
    install(tmp_path / "user", "other")
    assert names(environ) == ["other"]
    with pytest.raises(KernelTypeNotFound, match=r"My Kernel cannot be used.*rename it to my-kernel"):
        find("My Kernel", environ)


def test_one_that_asks_for_it_is_activated(environ, tmp_path):
    prefix = tmp_path / "env"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "pyvenv.cfg").touch()
    argv = [str(prefix / "bin" / "python"), "-m", "x", "{connection_file}"]
    install(
        tmp_path / "user", "inside", argv=argv, metadata={"moorage": {"activate": True}}, env={"A": "$PATH"}
    )
    install(tmp_path / "user", "plain", argv=argv)
    inside = find("inside", environ).environment({"PATH": "/bin", "PYTHONHOME": "/p"})
    assert (inside["VIRTUAL_ENV"], inside["PATH"]) == (str(prefix), f"{prefix}/bin:/bin")
    assert inside["A"] == inside["PATH"]
    assert "PYTHONHOME" not in inside
    assert find("plain", environ).activation is None
    install(tmp_path / "user", "nowhere", argv=["/bin/x"], metadata={"moorage": {"activate": True}})
    with pytest.raises(KernelTypeNotFound, match="to be activated, and /bin/x lies in no environment"):
        find("nowhere", environ)


def test_its_kind_is_looked_up_once():
    spec = KernelSpec("k", ("python", "-m", "ipykernel_launcher", "-f", "x"), "K", "python")
    assert spec.kind is spec.kind is kinds.IPYKERNEL
    assert KernelSpec("k", ("x",), "Ark R Kernel", "r").kind is kinds.ARK
    assert replace(spec, argv=("x",)).kind is kinds.OTHER
