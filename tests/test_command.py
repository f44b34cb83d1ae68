"""What a command starts."""

from __future__ import annotations

import pytest

from moorage.command import program, python_module


@pytest.mark.parametrize(
    ("words", "module", "rest"),
    [
        ("python -m a -f x", "a", "-f x"),
        ("/opt/b/python3.13t -m a.b", "a.b", ""),
        ("pypy3 -Es -m a", "a", ""),
        ("python.exe -m a", "a", ""),
        ("pythonw.exe -m a", "a", ""),
        ("python -Im a -m b", "a", "-m b"),
        ("python -Ima b", "a", "b"),
        ("python -X dev -W error -Xutf8 -Wd -m a", "a", ""),
        ("env A=1 B=-x /usr/bin/python -m a", "a", ""),
        ("python /x/ipykernel_launcher.py -f x", "ipykernel_launcher", "-f x"),
    ],
)
def test_the_module_behind_an_interpreter(words, module, rest):
    found = python_module(words.split())
    assert found is not None
    assert (found[0], list(found[1])) == (module, rest.split())


@pytest.mark.parametrize(
    "words",
    [
        "",
        "python",
        "python -m",
        "python -",
        "python - -m a",
        "python a.py -m b",
        "python -c pass -m b",
        "python -X -m",
        "env -i python -m a",
        "env",
        "env A=1",
        "bash -m a",
        "docker run --rm image python3 -m a",
        "node python -m a",
        "ssh box python3 -m a",
        "pythonic -m a",
        "a -m python -m b",
    ],
)
def test_what_has_none(words):
    assert python_module(words.split()) is None


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("", ""),
        ("/usr/bin/R --slave", "R"),
        ("ark.exe", "ark"),
        ("env A=1 /x/deno jupyter", "deno"),
        ("env -i a", "env"),
        ("/usr/bin/node /x/tslab kernel", "tslab"),
        ("node -e tslab", "node"),
        ("node", "node"),
    ],
)
def test_the_program(words, name):
    assert program(words.split()) == name
