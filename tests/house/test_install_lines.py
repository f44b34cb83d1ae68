"""No line that a user reads installs what answers to our name on a package index: there is no release yet."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BY_NAME = re.compile(
    r"""(?:pip|uv\ add|pipx|uvx)\b [^`\n]* (?<![\w./-]) ['"]? moorage (?:\[\w+\])? (?![\w/\[-]|\.\w|\ @)""",
    re.VERBOSE,
)


def read_by_users() -> list[Path]:
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "changelog.d").glob("*.md")]
    files += [*(ROOT / "examples").rglob("*.*"), *(ROOT / "src").rglob("*.py")]
    own = ROOT / "src" / "moorage" / "installed.py"  # it tells an index apart from everything else
    return [
        file for file in files if file.is_file() and file.suffix in {".md", ".py", ".toml"} and file != own
    ]


def test_install_lines_name_a_place() -> None:
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in read_by_users()
        for line in file.read_text("utf-8").splitlines()
        if BY_NAME.search(line)
    ]
    assert not found


@pytest.mark.parametrize(
    ("line", "by_name"),
    [
        ('$ pip install "moorage[render]"', True),
        ("Type: pip install 'moorage[render]'", True),
        ("pip install moorage", True),
        ("`pip install moorage` there", True),
        ("uv add numpy moorage", True),
        ('pip install "./moorage[render]"', False),
        ("pip install './moorage[render] @ file:///x'", False),
        ('pip install "moorage[render] @ git+https://host/moorage"', False),
        ("pip install ./moorage", False),
        ("pip install -r moorage-source/requirements.txt", False),
        ("moorage runs pip", False),
    ],
)
def test_the_pattern(line: str, by_name: bool) -> None:
    assert bool(BY_NAME.search(line)) is by_name
