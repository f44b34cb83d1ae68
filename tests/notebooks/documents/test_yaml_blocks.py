"""YAML that may not grow."""

from __future__ import annotations

import pytest

from moorage.errors import DocumentError
from moorage.notebooks.documents.formats import read
from moorage.notebooks.documents.yaml_blocks import LARGEST, check_yaml

LEVELS = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30)]
BOMB = "\n".join(["l0: &l0 [x, x, x]", *LEVELS])


@pytest.mark.parametrize(
    "text",
    [
        f"---\n{BOMB}\n---\n\nText\n",
        "# ---\n"
        + "".join(f"# {line}\n" for line in ["jupyter:", *("  " + each for each in BOMB.split("\n"))])
        + "# ---\n1\n",
        f"Text\n\n```{{code-cell}}\n---\n{BOMB}\n---\n1\n```\n",
        "```{code-cell} ipython3\n" + "".join(f":{line}\n" for line in BOMB.split("\n")) + "1\n```\n",
        f"  ```{{code-cell}}\n---\n{BOMB}\n```\n",
        "---\na: &a {x: 1}\nb:\n  <<: *a\n---\n",
    ],
)
def test_aliases_are_refused(text):
    with pytest.raises(DocumentError, match=r"the alias \*\w+ in its YAML"):
        check_yaml(text, "x.md")


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: Q&A *now*, R & D\n---\n\n*a* &b *c*\n",
        "---\ntitle: 'a &b *c'\n---\n",
        "---\ntitle: &b [\n---\n*c*\n",
        "no YAML *at* &all\n",
        "---\n\nrules &and *prose*\n",
        "",
    ],
)
def test_prose_is_none(text):
    check_yaml(text, "x.md")


def test_a_very_long_header_is_refused():
    with pytest.raises(DocumentError, match="a header of"):
        check_yaml("---\n" + "a: 1\n" * (LARGEST // 5 + 1) + "---\n", "x.md")


@pytest.mark.parametrize(("name", "lead"), [("x.md", ""), ("x.py", "# "), ("x.Rmd", ""), ("x.jl", "# ")])
def test_a_bomb_fails_its_document(tmp_path, name, lead):
    header = "".join(
        f"{lead}{line}\n" for line in ["---", "jupyter:", *("  " + each for each in BOMB.split("\n")), "---"]
    )
    with pytest.raises(DocumentError, match="alias"):
        read(tmp_path / name, (header + "\n1\n").encode())
