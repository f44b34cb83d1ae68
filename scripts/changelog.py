"""Puts the fragments of changelog.d/ into docs/changelog.md, as what the next release brings.

``python scripts/changelog.py`` writes the page, ``--check`` only says whether it is as it should be (exit
code 1 when it is not). A release itself is ``towncrier build --version X.Y.Z``: towncrier writes the section
behind the mark of releases, and deletes the fragments.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "changelog.md"
NEXT, RELEASES = "<!-- next -->\n", "<!-- releases -->\n"


def next_release() -> str:
    """Return what towncrier would write for the fragments that are here."""
    draft = ["towncrier", "build", "--draft", "--version", "Next release", "--date", ""]
    done = subprocess.run(
        [sys.executable, "-m", *draft], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"error: towncrier failed.\n{done.stderr}")
    return done.stdout[done.stdout.index("## Next release") :].strip() + "\n"


def main() -> int:
    page = PAGE.read_text("utf-8")
    head, rest = page.split(NEXT)
    _, releases = rest.split(RELEASES)
    wanted = f"{head}{NEXT}\n{next_release()}\n{RELEASES}{releases}"
    if "--check" in sys.argv:
        print("as the fragments say" if page == wanted else "docs/changelog.md is old: type make changelog")
        return int(page != wanted)
    PAGE.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
