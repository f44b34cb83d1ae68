"""The examples: readable as documents, titled, offline, and what their configuration says of them is true."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moorage.notebooks.planning.settings import load_configuration

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
DOCUMENTS = sorted(
    path
    for folder in (EXAMPLES, ROOT / "examples-pyvista")
    for path in folder.rglob("*")
    if path.suffix in {".py", ".md", ".Rmd", ".R", ".sh", ".ipynb"}
    and path.name != "README.md"
    and not {"rendered", ".ipynb_checkpoints"} & set(path.relative_to(ROOT).parts)
)
NETWORK = {"socket", "ssl", "http", "urllib", "requests", "httpx", "aiohttp", "ftplib", "pooch", "urllib3"}


def read(path: Path) -> list[dict[str, Any]]:
    """The cells of a document."""
    import jupytext

    return list(jupytext.read(path).cells)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_there_are_enough_of_them() -> None:
    assert len(DOCUMENTS) >= 14


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_begins_with_a_title_and_holds_code(path: Path) -> None:
    cells = read(path)
    text = "\n\n".join(cell["source"] for cell in cells[:2] if cell["cell_type"] == "markdown")
    assert re.search(r"^# \S|^\S.*\n===+$", text, re.MULTILINE)
    assert any(cell["cell_type"] == "code" for cell in cells)


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.suffix not in {".R", ".sh"}], ids=name)
def test_imports_nothing_that_talks_to_the_network(path: Path) -> None:
    imported: set[str] = set()
    for cell in read(path):
        if cell["cell_type"] != "code":
            continue
        source = re.sub(r"^%.*$", "", cell["source"], flags=re.MULTILINE)  # as %matplotlib
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    assert not imported & NETWORK


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.suffix == ".ipynb"], ids=name)
def test_notebooks_are_stored_without_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_pair_is_one_document() -> None:
    text, notebook = (read(EXAMPLES / "newton" / f"newton.{suffix}") for suffix in ("py", "ipynb"))
    assert [(c["cell_type"], c["source"]) for c in text] == [(c["cell_type"], c["source"]) for c in notebook]


def test_the_configuration_speaks_of_files_that_exist() -> None:
    configuration = load_configuration(EXAMPLES)
    assert configuration.path == EXAMPLES / "moorage.toml"
    for pattern, _ in configuration.notebooks:
        assert any(path.is_file() for path in EXAMPLES.glob(pattern)), pattern
    topography = configuration.notebook(EXAMPLES / "convection/dynamic_topography.py")
    assert [need.file for need in topography.needs] == ["convection.py", "Final_State.npz"]
    assert configuration.notebook(EXAMPLES / "convection/convection.py").outputs == ("Final_State.npz",)


def test_the_readme_tells_of_every_example() -> None:
    told = set(re.findall(r"\]\(([^)]+\.\w+)\)", (EXAMPLES / "README.md").read_text()))
    here = [path for path in DOCUMENTS if path.is_relative_to(EXAMPLES)]
    assert told >= {path.relative_to(EXAMPLES).as_posix() for path in here}
    assert all((EXAMPLES / each).exists() for each in told)


@pytest.mark.real
def test_convection_runs_as_a_plain_script_and_leaves_its_state(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "convection/convection.py")],
        cwd=tmp_path,
        env={**os.environ, "MOORAGE_EXAMPLE_QUICK": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    nusselt = re.search(r"Nu\s*=\s*([\d.]+)", done.stdout)
    assert nusselt is not None
    assert float(nusselt[1]) == pytest.approx(4.884, rel=0.05)
    assert [path.name for path in tmp_path.iterdir()] == ["Final_State.npz"]
