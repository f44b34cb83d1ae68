"""Kernels of other makes through the command: each says its piece, whatever way it prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from command import Command, printed, script, write

pytestmark = pytest.mark.real

HERE = Path(__file__).parent


def commented(text: str, comment: str) -> str:
    return text.replace("# %%", f"{comment} %%")


def outputs(notebook: Path) -> list[list[dict[str, object]]]:
    cells = json.loads(notebook.read_bytes())["cells"]
    return [cell["outputs"] for cell in cells if cell["cell_type"] == "code"]


def texts(notebook: Path) -> list[str]:
    """What each code cell printed."""
    return ["".join("".join(each.get("text", "")) for each in cell) for cell in outputs(notebook)]


def kernelspec(folder: Path, name: str, **content: object) -> dict[str, str]:
    """Write a kernelspec and return the environment in which it is found."""
    text = json.dumps({"display_name": name, "language": name, **content})
    write(folder / "share" / "kernels" / name, {"kernel.json": text})
    return {"JUPYTER_PATH": str(folder / "share")}


def has_kernel(name: str) -> bool:
    from moorage.discovery.kernelspec import names

    return name in names()


@pytest.fixture(scope="module")
def deno(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which deno keeps its files to itself."""
    if not has_kernel("deno"):
        pytest.skip("there is no deno kernel here")
    return {"DENO_DIR": str(tmp_path_factory.mktemp("deno"))}


def test_r(moorage: Command) -> None:
    if not has_kernel("ir"):
        pytest.skip("there is no R kernel (IRkernel) here")
    write(moorage.cwd, {"a.R": script("x <- c(1, 2, 3)\nmean(x)", 'cat("from R\\n")', "plot(x)")})
    done = moorage("render", "a.R", "-o", "a.ipynb", "--no-cache", "--json", "-", code=0)
    assert (done.notebooks["a.R"]["kernel"], done.notebooks["a.R"]["rendezvous"]) == ("ir", "hold")
    mean, printed_by_cat, plot = outputs(moorage.cwd / "a.ipynb")
    assert mean[0]["data"]["text/plain"] == ["[1] 2"]
    assert printed_by_cat == [{"output_type": "stream", "name": "stdout", "text": ["from R\n"]}]
    assert "image/png" in plot[0]["data"]


def test_an_error_in_r_fails_the_notebook(moorage: Command) -> None:
    if not has_kernel("ir"):
        pytest.skip("there is no R kernel (IRkernel) here")
    write(moorage.cwd, {"a.R": script('cat("before\\n")', 'stop("no further")', "1")})
    done = moorage("render", "a.R", "-o", "a.ipynb", "--no-cache", "--json", "-", code=1)
    assert done.notebooks["a.R"]["status"] == "failed"
    assert "no further" in done.notebooks["a.R"]["error"]["evalue"]
    assert texts(moorage.cwd / "a.ipynb")[0] == "before\n"


def test_bash(moorage: Command) -> None:
    pytest.importorskip("bash_kernel")
    argv = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    # bash_kernel reads ~/.bashrc, and finds its prompt by the sign that the kernelspec asks for.
    env = kernelspec(moorage.cwd, "bash", argv=argv, env={"PS1": "$"}) | {"HOME": str(moorage.cwd)}
    write(moorage.cwd, {"a.sh": script("name=world", 'echo "hello $name"', "ls /no-such-place")})
    done = moorage("render", "a.sh", "-o", "a.ipynb", "--no-cache", "--json", "-", env=env, code=1)
    assert texts(moorage.cwd / "a.ipynb")[1] == "hello world\n"
    error = done.notebooks["a.sh"]["error"]
    assert error["cell"] == 3
    assert error["ename"], "an error has a name even where the kernel gives none"


def test_xeus_python(moorage: Command) -> None:
    if not has_kernel("xpython"):
        pytest.skip("xeus-python is not installed")
    write(moorage.cwd, {"a.py": script("print('out')\n1 + 1", "raise ValueError('no')")})
    done = moorage("render", "a.py", "-o", "a.ipynb", "--kernel", "xpython", "--json", "-", code=1)
    assert done.notebooks["a.py"]["rendezvous"] == "handshake"
    stream, result = outputs(moorage.cwd / "a.ipynb")[0]
    assert stream["text"] == ["out\n"]
    assert result["data"]["text/plain"] == ["2"]
    assert done.notebooks["a.py"]["error"]["ename"] == "<class 'ValueError'>"


def test_what_deno_prints_after_idle_is_not_lost(moorage: Command, deno: dict[str, str]) -> None:
    cells = ('for (let n = 0; n < 300; n++) console.log("line", n);', 'console.log("second");')
    lines = "".join(f"line {n}\n" for n in range(300))
    write(moorage.cwd, {f"{n}.ts": commented(script(*cells), "//") for n in range(20)})
    options = ["--kernel", "deno", "--no-cache", "-j", 2]
    moorage("render", ".", "-o", "out", *options, env=deno, code=0)
    for n in range(20):
        assert texts(moorage.cwd / "out" / f"{n}.ipynb") == [lines, "second\n"]


def test_a_cell_that_tslab_drops_behind_an_error_is_run_after_all(moorage: Command) -> None:
    if not has_kernel("tslab"):
        pytest.skip("there is no tslab kernel here")
    cells = ("throw new Error('no');", *(f"console.log('cell {n}');" for n in range(3)))
    write(moorage.cwd, {"a.ts": commented(script(*cells), "//")})
    options = ["--kernel", "tslab", "--no-cache", "--allow-errors"]
    moorage("render", "a.ts", "-o", "a.ipynb", *options, code=1)
    assert texts(moorage.cwd / "a.ipynb")[1:] == [f"cell {n}\n" for n in range(3)]


def test_what_a_kernel_prints_after_idle_is_not_lost(moorage: Command) -> None:
    argv = [sys.executable, str(HERE / "files" / "trailing_kernel.py"), "-f", "{connection_file}"]
    env = kernelspec(moorage.cwd, "trailing", argv=argv, language="bash")
    write(moorage.cwd, {"a.sh": script("first", "second")})
    options = ["--kernel", "trailing", "--no-cache"]
    moorage("render", "a.sh", "-o", "a.ipynb", *options, env=env, code=0)
    counted = [[f"{name} {n}" for n in range(20)] for name in ("first", "second")]
    assert [text.splitlines() for text in texts(moorage.cwd / "a.ipynb")] == counted


def test_a_kernel_that_never_stops_printing_does_not_hold_the_notebook_for_ever(moorage: Command) -> None:
    argv = [sys.executable, str(HERE / "files" / "trailing_kernel.py"), "-f", "{connection_file}"]
    env = kernelspec(moorage.cwd, "trailing", argv=argv, language="bash")
    write(moorage.cwd, {"a.sh": script("for ever")})
    options = ["--kernel", "trailing", "--no-cache"]
    moorage("render", "a.sh", "-o", "a.ipynb", *options, env=env, code=0)
    assert "for ever 100" in printed(moorage.cwd / "a.ipynb")


def test_what_a_child_of_a_python_kernel_prints_in_the_last_cell_is_there(moorage: Command) -> None:
    del moorage.env["PYTEST_CURRENT_TEST"]  # where it is set, ipykernel leaves children's output alone
    cell = "import subprocess\nfor n in range(5): subprocess.run(['echo', str(n)])"
    write(moorage.cwd, {f"{n}.py": script(cell) for n in range(4)})
    moorage("render", ".", "-o", "out", "--no-cache", "-j", 2, code=0)
    for n in range(4):
        assert subprocess_lines(moorage.cwd / "out" / f"{n}.ipynb") == ["0", "1", "2", "3", "4"]


def subprocess_lines(notebook: Path) -> list[str]:
    return texts(notebook)[0].splitlines()
