"""A process that is watched, and its children: what they tell, and what they do not show."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from moorage.notebooks.cache.watching import Watching
from watched import place, private, run

__all__ = ["place", "private"]

CHILD = (
    "import subprocess, sys, os\n"
    "print(subprocess.run([sys.executable, 'child.py'], {} capture_output=True, text=True))"
)


def test_children_report_and_find_their_variables_as_they_were(place, private):
    for environ, shown in (({}, "None"), ({"PYTHONPATH": "x"}, "x")):
        said, kinds, _ = run(place, CHILD.format(""), private, **environ)
        assert f"stdout='1 {shown}\\n', stderr=''" in said
        assert {"child.py", "data.csv", "helper.py"} <= kinds["read"]
        assert "program" not in kinds


def test_a_child_with_a_copy_of_the_variables_reports_too(place, private):
    said, kinds, _ = run(place, CHILD.format("env={**os.environ, 'A': '1'},"), private)
    assert "1 None" in said
    assert "data.csv" in kinds["read"]


def test_a_child_whose_way_was_taken_away_is_told(place, private):
    code = "import os; os.environ['PYTHONPATH'] = 'lib'\n" + CHILD.format("")
    said, kinds, _ = run(place, code, private)
    assert "1 lib" in said
    assert "data.csv" not in kinds.get("read", ())  # nothing else may have been read
    assert len(kinds["program"]) == 1


def test_the_sites_own_customization_has_its_turn(place, private):
    (place / "lib").mkdir()
    (place / "lib" / "sitecustomize.py").write_text("import sys; sys.marked = __file__\n")
    show = "import sys; print(sys.marked, sys.modules['sitecustomize'].__file__, sys.path[1])"
    (place / "child.py").write_text(show)
    said, _, _ = run(place, CHILD.format(""), private, PYTHONPATH=str(place / "lib"))
    assert said.count(f"{place}/lib/sitecustomize.py") == 2
    assert f"{place}/lib\\n" in said


def test_nothing_of_it_is_seen_in_the_process(place, private):
    code = (
        "import sys, os; print([n for n in sys.modules if 'moorage' in n], [n for n in dir() if n[0] != '_'],"
        " os.environ.get('PYTHONPATH'), any('private' in p for p in sys.path))"
    )
    assert run(place, code, private)[0] == "[] ['os', 'sys'] None False"


def test_the_folder_goes(private):
    with Watching(private, []) as watching:
        assert watching.log() == b""
        assert list(private.iterdir())
    assert not list(private.iterdir())


def test_another_python_that_is_too_old_is_told(place, private):
    with Watching(private, [place]) as watching:
        text = next(private.glob("*/sitecustomize.py")).read_text().replace("watch.py", "none.py")
        code = f"__name__ = 'sitecustomize'\nimport sys; sys.modules[__name__] = sys\n{text}"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=place)
        assert json.loads(watching.log()) == ["program", "another Python", 0]


def test_the_script_is_where_it_is_looked_for():
    assert Path(sys.modules[Watching.__module__].__file__).with_name("watch.py").is_file()
