"""Start-up code of an interpreter: kernels are forked where a fork is like a start, else spawned."""
# ruff: noqa: E501 - lines of .pth files

from __future__ import annotations

import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from moorage import blocking
from moorage.discovery.kernelspec import KernelSpec

pytestmark = [pytest.mark.real, pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")]

SHOW = "import sys; print(getattr(sys, 'mine', None))"


@dataclass(frozen=True)
class Environment:
    """A virtual environment that has ipykernel from the one of the tests."""

    folder: Path
    packages: Path

    def write(self, name: str, text: str) -> None:
        """Put a file among its packages."""
        (self.packages / name).write_text(text)

    @contextmanager
    def kernel(self, *, fork: bool = True, **env: str) -> Iterator[blocking.Kernel]:
        """Launch a kernel of it."""
        argv = (str(self.folder / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}")
        with blocking.launch(KernelSpec("mine", argv, "Mine", "python"), fork=fork, env=env) as kernel:
            yield kernel

    def shows(self, code: str = SHOW, *, fork: bool = True, **env: str) -> tuple[str, bool, str]:
        """Return what code prints, whether the kernel was forked, and why it was not."""
        with self.kernel(fork=fork, **env) as kernel:
            result = kernel.execute(code)
            assert result.status == "ok", result.error
            said = "".join(one.get("text", "") for one in result.outputs).strip()
            return said, kernel.process.forked, kernel.process.not_forked


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A fresh one."""
    ipykernel = pytest.importorskip("ipykernel")
    folder = tmp_path / "venv"
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "theirs.pth").write_text(f"{Path(ipykernel.__file__).parent.parent}\n")
    return Environment(folder, packages)


def editable(environment: Environment) -> None:
    """What ``pip install -e`` writes with setuptools for a project whose layout needs a finder."""
    wheel = pytest.importorskip("setuptools.command.editable_wheel")
    source = environment.folder / "source" / "mine"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("value = 5\n")
    name = "__editable___mine_1_0_finder"
    environment.write(f"{name}.py", wheel._finder_template(name, {"mine": str(source)}, {}))
    environment.write("__editable__.mine-1.0.pth", f"import {name}; {name}.install()")


def plain_path(environment: Environment) -> None:
    """What ``pip install -e`` writes with most build systems."""
    source = environment.folder / "src"
    (source / "mine").mkdir(parents=True)
    (source / "mine" / "__init__.py").write_text("value = 5\n")
    environment.write("_editable_impl_mine.pth", f"{source}\n")


HARMLESS = {
    "distutils-precedence.pth": "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; "
    "enabled = os.environ.get(var, 'local') == 'local'; enabled and __import__('_distutils_hack').add_shim(); ",
    "pytest-cov.pth": "import os, sys;exec('if \"COV_CORE_SOURCE\" in os.environ:\\n    from pytest_cov.embed import init\\n    init()')",
    "a1_coverage.pth": "import sys; exec('import os\\nif os.getenv(\"COVERAGE_PROCESS_START\"):\\n    import coverage')",
    "matplotlib-nspkg.pth": "import sys, types, os;has_mfs = sys.version_info > (3, 5);p = os.path.join("
    "sys._getframe(1).f_locals['sitedir'], *('mpl_toolkits',));m = sys.modules.setdefault('mpl_toolkits', "
    "types.ModuleType('mpl_toolkits'));mp = m.__dict__.setdefault('__path__',[]);mp.append(p)",
    "sitecustomize.py": "import sys\ntry:\n    import apport_python_hook\nexcept ImportError:\n    pass\nsys.mine = 'set'\n",
}
"""What is found on ordinary machines."""


def test_ordinary_start_up_code_keeps_kernels_forking(environment: Environment) -> None:
    pytest.importorskip("_distutils_hack")
    for name, text in HARMLESS.items():
        environment.write(name, text)
    editable(environment)
    with environment.kernel() as kernel:
        assert (kernel.process.forked, kernel.process.not_forked) == (True, "")
        shown = kernel.execute("import mine, mpl_toolkits, sys; print(mine.value, sys.mine)").outputs
        assert [one["text"] for one in shown] == ["5 set\n"]


def test_an_editable_package_by_a_plain_path_keeps_kernels_forking(environment: Environment) -> None:
    plain_path(environment)
    assert environment.shows("import mine; print(mine.value)") == ("5", True, "")


DOES = {
    "a thread": "import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    "has opened": "import sys; sys.log = open('/dev/null', 'rb')",
    "writes to": "import os; open(os.path.dirname(__file__) + '/log', 'a').write('started ')",
    "starts a process": "import subprocess; subprocess.run(['true'])",
    "reads all environment variables": "import os, sys; sys.mine = len(dict(os.environ))",
    "traces": "import sys, threading; sys.settrace(lambda *_: None)",
    "working directory": "import os, sys; sys.mine = os.getcwd()",
    "a timer": "import signal; signal.signal(signal.SIGALRM, lambda *_: 0); signal.setitimer(signal.ITIMER_REAL, 3600)",
}


@pytest.mark.parametrize("why", DOES)
def test_start_up_code_that_does_something_means_spawned_and_the_reason_is_said(
    environment: Environment, caplog: pytest.LogCaptureFixture, why: str
) -> None:
    environment.write("sitecustomize.py", DOES[why])
    with caplog.at_level("INFO", "moorage.launch"):
        for _ in range(2):
            _, forked, told = environment.shows("1")
            assert (forked, why in told) == (False, True), told
    assert why in caplog.text


def test_a_variable_that_start_up_code_reads_is_that_of_each_launch(environment: Environment) -> None:
    environment.write(
        "sitecustomize.py", "import os, sys; sys.mine = os.environ.get('COVERAGE_PROCESS_START')"
    )
    assert environment.shows() == ("None", True, "")
    for value in ("one", "two", "one"):
        said, _, _ = environment.shows(COVERAGE_PROCESS_START=value)
        assert said == value
    assert environment.shows() == ("None", True, "")
    assert environment.shows(COVERAGE_PROCESS_START="two", UNREAD="1")[:2] == ("two", True)


def test_start_up_code_that_measures_is_never_a_template(environment: Environment) -> None:
    """As coverage does it with its ``.pth`` and COVERAGE_PROCESS_START."""
    code = "import os, sys\nif os.environ.get('COVERAGE_PROCESS_START'): sys.setprofile(lambda *_: None)\n"
    environment.write("sitecustomize.py", code + "sys.mine = sys.getprofile() is not None\n")
    assert environment.shows() == ("False", True, "")
    said, forked, why = environment.shows(COVERAGE_PROCESS_START="rc")
    assert (said, forked) == ("True", False)
    assert why


def test_variables_that_start_up_code_sets_or_removes_are_so_in_kernels(environment: Environment) -> None:
    code = "import os\nos.environ['MADE'] = 'by it'\nos.environ['MORE'] = os.environ.get('MORE', '') + '+'\nos.environ.pop('GONE', 0)\n"
    environment.write("sitecustomize.py", code)
    look = "import os; print([os.environ.get(name) for name in ('MADE', 'MORE', 'GONE')])"
    for env in ({}, {"MORE": "a", "GONE": "1"}):
        spawned = environment.shows(look, fork=False, **env)[0]
        forked = environment.shows(look, **env)
        assert (forked[0], forked[1]) == (spawned, True)


def written(environment: Environment) -> None:
    """Change the text of a sitecustomize."""
    environment.write("sitecustomize.py", "import sys; sys.mine = 'changed'")


def added(environment: Environment) -> None:
    """Add a line to a ``.pth`` file."""
    with (environment.packages / "theirs.pth").open("a") as file:
        file.write("import sys; sys.mine = 'changed'\n")


def beside(environment: Environment) -> None:
    """Change what a sitecustomize reads."""
    environment.write("mine.txt", "changed")


@pytest.mark.parametrize("change", [written, added, beside])
def test_start_up_code_that_was_changed_is_run_anew(
    environment: Environment, change: Callable[[Environment], None]
) -> None:
    environment.write("mine.txt", "first")
    environment.write(
        "sitecustomize.py", "import os, sys; sys.mine = open(os.path.dirname(__file__) + '/mine.txt').read()"
    )
    assert environment.shows() == ("first", True, "")
    change(environment)
    if change is added:
        environment.write("sitecustomize.py", "")
    assert environment.shows() == ("changed", True, "")


def test_a_first_package_of_the_user_is_found(environment: Environment) -> None:
    """A first ``pip install --user``: until then there is no such folder."""
    config = environment.folder / "pyvenv.cfg"
    config.write_text(
        config.read_text().replace(
            "include-system-site-packages = false", "include-system-site-packages = true"
        )
    )
    user = environment.folder / "user"
    look = "import importlib.util as it; print(it.find_spec('of_the_user') is not None)"
    assert environment.shows(look, PYTHONUSERBASE=str(user)) == ("False", True, "")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = user / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (packages / "of_the_user.py").write_text("")
    assert environment.shows(look, PYTHONUSERBASE=str(user)) == ("True", True, "")
