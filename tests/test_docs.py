"""The documentation: links lead somewhere, configuration is valid, flags are those there are, Python runs."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from moorage import blocking
from moorage.cli.main import build_parser
from moorage.notebooks.planning.settings import load_configuration

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "moorage"
DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("examples*/README.md")]
)
FRAGMENTS = sorted(path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md")


def known_flags() -> set[str]:
    return flags_of(verbs()["render"])


def verbs(parser: Any = None) -> dict[str, Any]:
    """The verbs of a parser, none for one that has none."""
    actions = (parser or build_parser())._actions
    return next((action.choices for action in actions if isinstance(action.choices, dict)), {})


def flags_of(parser: Any) -> set[str]:
    return {flag for action in parser._actions for flag in action.option_strings}


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
def test_commands_use_verbs_and_flags_that_exist(page: Path) -> None:
    for line in re.findall(r"^\s*(?:\$|\+|- run:) ?moorage (.*)$", page.read_text(), re.MULTILINE):
        words = shlex.split(line.partition(" | ")[0].partition(";")[0], comments=True)
        parser = build_parser()
        while words and words[0] in verbs(parser):
            parser = verbs(parser)[words.pop(0)]
        own = words[: words.index("--")] if "--" in words else words
        told = {word.partition("=")[0] for word in own if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)}
        assert told <= flags_of(parser), line
        if words and not words[0].startswith("-"):
            assert parser is not build_parser(), line


@pytest.mark.parametrize(
    "page",
    [*(DOCS / "design").glob("*.md"), DOCS / "map.md", ROOT / "CONTRIBUTING.md", ROOT / "README.md"],
    ids=lambda page: page.name,
)
def test_files_of_the_project_that_are_named_exist(page: Path) -> None:
    bases = (ROOT, PACKAGE, ROOT / "src")
    for word in re.findall(r"[^`\s:,]+", " ".join(re.findall(r"`([^`\n]+)`", page.read_text()))):
        module = word.replace(".", "/") + ".py"
        if re.match(r"bench\.\w+$", word):
            assert (ROOT / module).is_file(), word
        elif re.match(r"(src|tests|bench|docs|scripts)/|\w[\w/]*/\w+\.py$", word):
            assert any([*base.glob(word)] for base in bases), word


def rooms_and_wings() -> set[str]:
    folders = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}
    modules = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("*.py")]
    return {*modules, *(folder.relative_to(PACKAGE).as_posix() + "/" for folder in folders)}


def test_the_map_names_every_room_and_wing_and_no_other() -> None:
    text = (DOCS / "map.md").read_text()
    rows = set(re.findall(r"^\| `([\w./]+)` \|", text, re.MULTILINE))
    told = rows | set(re.findall(r"^`(\w+/)` ", text, re.MULTILINE))
    beside = {path.name + "/" for path in ROOT.iterdir() if path.is_dir()}
    assert told - beside == rooms_and_wings()


def test_the_example_of_a_place_is_the_one_that_is_tested() -> None:
    page = (DOCS / "how-to" / "places.md").read_text()
    shown = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    tested = (ROOT / "tests" / "places" / "elsewhere.py").read_text()
    assert shown
    assert all(code in tested for code in shown)


def test_troubleshooting_has_every_code_and_no_other() -> None:
    codes = {
        node.value
        for node in ast.walk(ast.parse((PACKAGE / "errors.py").read_text()))
        if isinstance(node, ast.Constant) and re.fullmatch(r"E-[A-Z-]+", str(node.value))
    }
    text = (DOCS / "how-to" / "troubleshooting.md").read_text()
    assert set(re.findall(r"^\| `(E-[A-Z-]+)` \|", text, re.MULTILINE)) == codes


def test_the_index_leads_to_every_page() -> None:
    links = re.findall(r"\]\(([^)#\s]+)", (DOCS / "index.md").read_text())
    reached = {(DOCS / link).resolve() for link in links if "://" not in link}
    assert {page for page in DOCS.rglob("*.md") if page.name != "index.md"} <= reached


def test_contributing_tells_of_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = set(re.findall(r"`make ([a-z-]+)`", (ROOT / "CONTRIBUTING.md").read_text()))
    assert told <= targets


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.name)
def test_fragments_of_the_changelog_have_an_issue_a_name_and_a_type(fragment: Path) -> None:
    assert re.fullmatch(r"\d+\.[a-z-]+\.(added|changed|fixed)\.md", fragment.name)
    assert fragment.read_text().count("\n") == 1


def test_the_changelog_page_is_what_the_fragments_make() -> None:
    pytest.importorskip("towncrier", reason="towncrier is not installed here: `make test` brings it")
    script = [sys.executable, str(ROOT / "scripts" / "changelog.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


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
@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/how-to/keep-a-kernel-alive.md",
        "docs/reference/kernels.md",
        "docs/reference/python.md",
    ],
)
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
