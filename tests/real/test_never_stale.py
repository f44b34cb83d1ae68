"""A result from the cache is what running again would give: each thing that a run depends on, changed.

All cases are one project. It is rendered, rendered again (everything is cached), changed, and rendered once
more: what depends on a change is made again, and its neighbours that do not are cached still.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from command import Command, typed_in, write
from moorage.discovery.kernelspec import names as find_names

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@dataclass(frozen=True)
class Case:
    """One folder of the project.

    Attributes:
        files: what is there; ``x.py`` or ``x.ipynb`` is the source.
        change: files written before the last run; None takes one away.
        again: whether its document must be made anew.
        fresh: whether it must be run anew, where that is not the same.
    """

    files: dict[str, str | bytes]
    change: dict[str, str | bytes | None] = field(default_factory=dict)
    again: bool = True
    fresh: bool | None = None


def cell(source: str, *tags: str, saved: str = "") -> dict[str, object]:
    outputs = [{"output_type": "stream", "name": "stdout", "text": saved}] if saved else []
    about = {"metadata": {"tags": list(tags)}, "execution_count": None}
    return {"cell_type": "code", "source": source, "outputs": outputs, **about}


def text(source: str) -> dict[str, object]:
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def notebook(*cells: dict[str, object]) -> str:
    return json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


DOCUMENTS = {
    "image": Case({"x.ipynb": notebook(text("![a](a.png)")), "a.png": PNG}, {"a.png": PNG[:-1] + b"x"}),
    "image that comes": Case({"x.ipynb": notebook(text("![a](a.png)"))}, {"a.png": PNG}),
    "jupytext.toml": Case({"x.py": "# %%\n# %pprint\n1\n"}, {"jupytext.toml": "comment_magics = false\n"}),
    "active": Case(
        {"x.ipynb": notebook(cell("print(1)"))}, {"x.ipynb": notebook(cell("print(1)", "active-py"))}
    ),
    "saved": Case(
        {"x.ipynb": notebook(cell("1"), cell("2", "skip-execution", saved="old"))},
        {"x.ipynb": notebook(cell("1"), cell("2", "skip-execution", saved="new"))},
        fresh=False,
    ),
    "blank": Case(
        {"x.ipynb": notebook(cell("print(1)"))},
        {"x.ipynb": notebook(cell(""), cell("print(1)"), cell(" \n"))},
        fresh=False,
    ),
    "unchanged": Case({"x.ipynb": notebook(text("![b](b.png)"), cell("1")), "b.png": PNG}, again=False),
}


def lay(folder: Path, cases: dict[str, Case]) -> None:
    for name, case in cases.items():
        write(folder / name, case.files)
    write(folder, {"moorage.toml": ""})
    old = time.time() - 60
    for path in folder.rglob("*"):
        os.utime(path, (old, old))


def alter(folder: Path, cases: dict[str, Case]) -> None:
    for name, case in cases.items():
        for file, content in case.change.items():
            if content is None:
                (folder / name / file).unlink()
            else:
                write(folder / name, {file: content})


def render(command: Command, *words: str) -> dict[str, str]:
    sources = () if words[:1] == ("a",) else (".",)
    done = command("render", *sources, *words, "-o", "out", "--json", "-", code=0)
    told = {name.rpartition("/")[0]: status for name, status in done.statuses.items()}
    assert "not cached" not in done.stderr, done.stderr
    return told


def documents(folder: Path) -> dict[str, bytes]:
    pages = sorted((folder / "out").rglob("*.html"))
    return {path.parent.name: path.read_bytes() for path in pages}


@pytest.mark.real
def test_what_documents_are_made_of(tmp_path):
    lay(tmp_path, DOCUMENTS)
    with typed_in(tmp_path) as command:
        assert set(render(command, "--to", "html").values()) == {"ok"}
        assert set(render(command, "--to", "html").values()) == {"cached"}
        before = documents(tmp_path)
        alter(tmp_path, DOCUMENTS)
        found, after = render(command, "--to", "html"), documents(tmp_path)
        assert set(render(command, "--to", "html").values()) == {"cached"}
        command("render", ".", "-o", "forced", "--to", "html", "--no-cache", code=0)
    # A page made of stored outputs counts as cached: what it shows tells whether it is new.
    for name, case in DOCUMENTS.items():
        if name != "blank":
            assert (after[name] != before[name]) is case.again, name
        assert after[name] == (tmp_path / "forced" / name / "x.html").read_bytes(), name
    assert found["active"] == "ok"
    assert {found[name] for name, case in DOCUMENTS.items() if case.fresh is False} == {"cached"}


def database(version: int) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"pragma user_version = {version}")
    data = connection.serialize()
    connection.close()
    return data


READ = "print(open('da' 'ta.csv').read())"
CHILD = "import subprocess, sys, os\n"
OUTPUT = "print(subprocess.run(command, capture_output=True, text=True, check=True{}).stdout)"

DATA: dict[str, str | bytes] = {"data.csv": "old"}
NEWER: dict[str, str | bytes | None] = {"data.csv": "newer"}


def code(*sources: str, **files: str | bytes) -> dict[str, str | bytes]:
    return {
        "x.ipynb": notebook(*map(cell, sources)),
        **{name.replace("_py", ".py"): files[name] for name in files},
    }


RUNS = {
    "open": Case({**code(READ), **DATA}, NEWER),
    "open later": Case(
        {**code("import os\nos.chdir('sub')", READ), "sub/data.csv": "old"}, {"sub/data.csv": "newer"}
    ),
    "absent": Case(
        code("try:\n    print(open('la' 'te.csv').read())\nexcept OSError:\n    print('none')"),
        {"late.csv": "x"},
    ),
    "exists": Case(code("import os; print(os.path.exists('late.csv'))"), {"late.csv": "x"}),
    "glob": Case(code("import glob; print(sorted(glob.glob('*.dat')))"), {"new.dat": ""}),
    "listdir": Case(
        {**code("from pathlib import Path; print(sorted(Path('d').iterdir()))"), "d/a.dat": ""},
        {"d/new.dat": ""},
    ),
    "run": Case({**code("%run -i 'a b.py'"), "a b.py": "print(1)"}, {"a b.py": "print(2)"}),
    "run variable": Case(
        code("name = 'helper.py'\n%run {name}", helper_py="print(1)"), {"helper.py": "print(2)"}
    ),
    "run after cd": Case(
        {**code("%cd -q sub", "%run helper.py"), "sub/helper.py": "print(1)"}, {"sub/helper.py": "print(2)"}
    ),
    "run_line_magic": Case(
        code("get_ipython().run_line_magic('run', 'hel' + 'per')", helper_py="print(1)"),
        {"helper.py": "print(2)"},
    ),
    "import": Case(code("import helper", helper_py="print(1)"), {"helper.py": "print(2)"}),
    "dropped": Case(
        code("import sys, helper; del sys.modules['helper']", helper_py="print(1)"), {"helper.py": "print(2)"}
    ),
    "shadowed": Case(code("import colorsys; print(colorsys.__file__)"), {"colorsys.py": ""}),
    "dropped and shadowed": Case(
        code("import sys, colorsys; print(colorsys.__file__); del sys.modules['colorsys']"),
        {"colorsys.py": ""},
    ),
    "package over module": Case(
        code("import helper; print(helper.__file__)", helper_py=""), {"helper/__init__.py": ""}
    ),
    "missing module": Case(
        code("try:\n    import nosuch\nexcept ImportError:\n    print('none')"),
        {"nosuch.py": "print('here')"},
    ),
    "missing submodule": Case(
        {**code("try:\n    import pkg.more\nexcept ImportError:\n    print('none')"), "pkg/__init__.py": ""},
        {"pkg/more.py": "print('here')"},
    ),
    "matplotlibrc": Case(
        code("import matplotlib; print(matplotlib.rcParams['lines.linewidth'])"),
        {"matplotlibrc": "lines.linewidth: 7"},
    ),
    "sqlite": Case(
        {
            **code(
                "import sqlite3\nconnection = sqlite3.connect('x' '.db')",
                "print(connection.execute('pragma user_version').fetchall())",
            ),
            "x.db": database(1),
        },
        {"x.db": database(2)},
    ),
    "child": Case(
        {
            **code(CHILD + "command = [sys.executable, 'child.py']\n" + OUTPUT.format("")),
            "child.py": READ,
            **DATA,
        },
        NEWER,
    ),
    "child itself": Case(
        code(
            CHILD + "command = [sys.executable, 'chi' 'ld.py']\n" + OUTPUT.format(""),
            **{"child.py": "print(1)"},
        ),
        {"child.py": "print(2)"},
    ),
    "child's module": Case(
        code(
            CHILD
            + "command = [sys.executable, '-c', 'import helper']\n"
            + OUTPUT.format(", env=dict(os.environ, A='1')"),
            helper_py="print(1)",
        ),
        {"helper.py": "print(2)"},
    ),
    "child's missing module": Case(
        code(
            CHILD
            + "command = [sys.executable, '-c', 'try: import nosuch\\nexcept ImportError: print(0)']\n"
            + OUTPUT.format(", env=os.environ")
        ),
        {"nosuch.py": "print(1)"},
    ),
    "fork": Case(
        {
            **code(
                "import os\n"
                "if not (pid := os.fork()):\n"
                "    os._exit(len(open('da' 'ta.csv').read()))\n"
                "print(os.waitpid(pid, 0)[1])"
            ),
            **DATA,
        },
        NEWER,
    ),
    "spawn": Case(
        code(
            "import multiprocessing, worker\n"
            "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
            "    print(pool.map(worker.size, [0]))",
            worker_py="def size(_):\n    return len(open('da' 'ta.csv').read())\n",
        )
        | DATA,
        NEWER,
    ),
    "shell": Case({**code("name = 'data.csv'\n!cat {name} | sort"), **DATA}, NEWER),
    "shell's glob": Case({**code("!head *.c[s]v"), **DATA}, {"more.csv": "new"}),
    "shell's redirection": Case({**code("!sort < da'ta.csv'"), **DATA}, NEWER),
    "shell's python": Case({**code("!python child.py"), "child.py": READ, **DATA}, NEWER),
    "system": Case({**code("import os; print(os.system('grep new data.csv'))"), **DATA}, NEWER),
    "own": Case(
        {**code("open('own.txt', 'w').write('1'); print(open('own.txt').read())")},
        {"own.txt": "else"},
        again=False,
    ),
    "own module": Case(
        code("%%writefile written.py\nprint('w')", "import written"), {"written.py": "print(5)"}, again=False
    ),
    "own child's": Case(
        code(
            CHILD
            + 'command = [sys.executable, \'-c\', \'open("own.txt", "w").write("1")\']\n'
            + OUTPUT.format("")
            + "\nprint(open('own.txt').read())"
        ),
        {"own.txt": "else"},
        again=False,
    ),
    "log": Case(
        {**code("print(1); open('x.log', 'a').write('x')"), "x.log": "y"}, {"x.log": "z"}, again=False
    ),
    "neighbours": Case(
        {**code("import colorsys; print(1)"), **DATA}, {**NEWER, "other.py": "", "json2.py": ""}, again=False
    ),
}


@pytest.mark.real
def test_what_a_run_reads(tmp_path):
    lay(tmp_path, RUNS)
    with typed_in(tmp_path) as command:
        assert set(render(command).values()) == {"ok"}
        assert set(render(command).values()) == {"cached"}
        alter(tmp_path, RUNS)
        found = render(command)
        assert {name for name in RUNS if (found[name] == "ok") is not RUNS[name].again} == set()
        assert set(render(command).values()) == {"cached"}


@pytest.mark.real
def test_what_ipython_reads_before_the_first_cell(tmp_path):
    shown = notebook(cell("print(get_ipython().banner1, globals().get('started'))"))
    write(tmp_path, {"moorage.toml": "", "a/x.ipynb": shown, "b/x.ipynb": shown})
    home = tmp_path / "ipython" / "profile_default"
    with typed_in(tmp_path) as command:
        command.env["IPYTHONDIR"] = str(home.parent)
        assert set(render(command, "a", "b").values()) == {"ok"}
        for name, content in (
            ("startup/10.py", "started = 1"),
            ("startup/10.py", "started = 2"),
            ("ipython_config.py", "c.TerminalInteractiveShell.banner1 = c.InteractiveShell.banner1 = 'x'"),
            ("ipython_kernel_config.json", '{"ZMQInteractiveShell": {"banner1": "y"}}'),
        ):
            assert set(render(command, "a", "b").values()) == {"cached"}
            write(home, {name: content})
            assert set(render(command, "a", "b").values()) == {"ok"}, name


@pytest.mark.real
def test_a_program_that_is_not_watched_needs_inputs_declared(tmp_path):
    write(tmp_path, {"x.ipynb": notebook(cell("!git --version")), "data.csv": "1"})
    with typed_in(tmp_path) as command:
        for _ in range(2):
            done = command("render", "x.ipynb", "-o", "out", "--json", "-", code=0)
            assert done.statuses == {"x.ipynb": "ok"}
            assert "not cached: it started git, and what that reads is not known" in done.stderr
        write(tmp_path, {"moorage.toml": '[notebook."x.ipynb"]\ninputs = ["data.csv"]\n'})
        for status in ("ok", "cached"):
            assert (
                command("render", "x.ipynb", "-o", "out", "--json", "-", code=0).statuses["x.ipynb"] == status
            )


@pytest.mark.real
def test_what_a_run_changes_after_reading_it_is_no_result_to_keep(tmp_path):
    count = "text = open('count').read(); open('count', 'w').write(text + 'x'); print(len(text))"
    write(tmp_path, {"x.ipynb": notebook(cell(count)), "count": ""})
    with typed_in(tmp_path) as command:
        for _ in range(2):
            done = command("render", "x.ipynb", "-o", "out", "--json", "-", code=0)
            assert done.statuses == {"x.ipynb": "ok"}
            assert "count, which it had read" in done.stderr


KERNELS = {
    "xpython": (READ, {"data.csv": "newer"}),
    "bash": ("cat data.csv", {"data.csv": "newer"}),
    "ir": ("cat(readLines('data.csv'))", {"data.csv": "newer"}),
}


@pytest.mark.real
@pytest.mark.parametrize("kernel", KERNELS)
def test_other_kernels(tmp_path, kernel):
    if kernel not in find_names():
        pytest.skip(f"there is no kernel {kernel} here")
    source, change = KERNELS[kernel]
    write(tmp_path, {"x.ipynb": notebook(cell(source)), "data.csv": "old\n"})
    for name in ("x.ipynb", "data.csv"):
        os.utime(tmp_path / name, (1, 1))
    with typed_in(tmp_path) as command:
        words = ("render", "x.ipynb", "-o", "out", "--kernel", kernel, "--json", "-")
        seen = []
        for files in ({}, {}, change, {}):
            write(tmp_path, files)
            done = command(*words, code=0)
            assert "not cached" not in done.stderr, done.stderr
            seen.append(done.statuses["x.ipynb"])
    assert seen == ["ok", "cached", "ok", "cached"]


@pytest.mark.real
def test_a_kernel_that_tells_nothing_of_itself_is_not_cached(tmp_path):
    if "xpython-raw" not in find_names():
        pytest.skip("there is no kernel xpython-raw here")
    write(tmp_path, {"x.ipynb": notebook(cell("print(1)"))})
    with typed_in(tmp_path) as command:
        for _ in range(2):
            done = command("render", "x.ipynb", "-o", "out", "--kernel", "xpython-raw", "--json", "-", code=0)
            assert done.statuses == {"x.ipynb": "ok"}
            assert "not cached: the kernel did not tell" in done.stderr
