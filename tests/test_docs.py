"""The documentation: links lead somewhere, configuration is valid, flags are those there are, Python runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from moorage import blocking
from moorage.cli.main import build_parser
from moorage.notebooks.planning.settings import load_configuration

ROOT = Path(__file__).parent.parent
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *ROOT.glob("examples*/README.md")])


def known_flags() -> set[str]:
    verbs = next(action.choices for action in build_parser()._actions if isinstance(action.choices, dict))
    return {flag for action in verbs["render"]._actions for flag in action.option_strings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, target


def test_the_reference_of_render_has_every_flag_and_no_other() -> None:
    page = (ROOT / "docs/reference/render.md").read_text()
    told = set(re.findall(r"^\| (?:`-\w`, )?`(--[a-z-]+)", page, re.MULTILINE))
    assert told == {flag for flag in known_flags() if flag.startswith("--")} - {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_use_flags_that_exist(page: Path) -> None:
    for line in re.findall(r"^\$ moorage render .*$", page.read_text(), re.MULTILINE):
        assert set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", line)) <= known_flags(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_configuration_shown_is_accepted(page: Path, tmp_path: Path) -> None:
    for block in re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        tomllib.loads(block)
        (tmp_path / "moorage.toml").write_text(block)
        assert load_configuration(tmp_path).path == tmp_path / "moorage.toml"


def shown(outputs: list[dict[str, Any]]) -> str:
    """What a reader would see of a cell's outputs."""
    parts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    return "".join(parts).strip()


@pytest.mark.real
@pytest.mark.parametrize("page", ["README.md", "docs/reference/kernels.md", "docs/reference/python.md"])
def test_python_shown_runs_and_prints_what_is_shown(page: str, tmp_path: Path) -> None:
    text = (ROOT / page).read_text()
    examples = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", text, re.MULTILINE | re.DOTALL)
    assert examples
    with blocking.launch("python3", cwd=tmp_path) as kernel:
        for code, printed in examples:
            result = kernel.execute(code)
            assert result.error is None, code
            if printed:
                assert shown(result.outputs) == printed.strip()
