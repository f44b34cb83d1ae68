from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from moorage.notebooks.events import Failure, Outcome
from moorage.notebooks.show.results import exit_code, to_json, to_junit
from notebooks.made_up import ALL, CACHED, DIED, FAILED, HOSTILE, OK, SKIPPED, TIMEOUT

# What Jenkins' junit-10.xsd allows: attributes and children of each element, and what must be there.
SCHEMA = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id",
         "package", "file", "log", "url"},
        {"name", "tests", "failures", "errors"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name", "time", "classname", "group"},
        {"name"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": ({"type", "message"}, set(), set()),
    "error": ({"type", "message"}, set(), set()),
    "skipped": ({"type", "message"}, set(), set()),
    "system-out": (set(), set(), set()),
}  # fmt: skip
SUREFIRE_TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")


def checked(data):
    root = ET.fromstring(data)
    assert root.tag == "testsuites"
    for element in root.iter():
        allowed, needed, children = SCHEMA[element.tag]
        assert set(element.keys()) <= allowed
        assert needed <= set(element.keys())
        assert {child.tag for child in element} <= children
        if element.get("time") is not None and element.tag != "testcase":
            assert SUREFIRE_TIME.fullmatch(element.get("time"))
    return root


def test_json_is_the_documented_shape():
    document = json.loads(json.dumps(to_json([FAILED, OK], 3.14159, "1.2.3")))
    assert list(document) == ["moorage", "seconds", "notebooks"]
    assert document["moorage"] == "1.2.3"
    assert document["seconds"] == 3.142
    failed, fine = document["notebooks"]
    assert list(failed) == [
        "source", "output", "status", "seconds", "kernel", "rendezvous", "forked", "not_forked", "attempts",
        "error", "reason", "artifacts",
    ]  # fmt: skip
    assert list(failed["error"]) == ["cell", "ename", "evalue", "traceback"]
    assert fine["error"] is fine["reason"] is None
    assert fine["artifacts"] == ["demos/film.mp4"]


def test_json_has_no_colours_and_the_reason_of_a_skip():
    failed, skipped = to_json([FAILED, SKIPPED], 1.0, "1.2.3")["notebooks"]
    assert "\x1b" not in json.dumps(failed) + str(failed)
    assert "ValueError: shapes (64,32) (32,64)" in failed["error"]["traceback"]
    assert skipped["reason"] == "demos/cavity.py, which it needs, failed"


def test_junit_follows_the_schema():
    root = checked(to_junit(ALL, 80.5, name="demos", started=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)))
    suite = root[0]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")}
    assert counts == {"tests": "6", "failures": "1", "errors": "2", "skipped": "1", "time": "80.500"}
    assert suite.get("timestamp") == "2030-01-02T03:04:05"
    cases = {case.get("name"): case for case in suite}
    assert [child.tag for child in cases["cavity.py"]] == ["failure", "system-out"]
    assert cases["rebound.py"].find("error").get("type") == "KernelDied"
    assert cases["needs.py"].find("skipped").get("message") == "demos/cavity.py, which it needs, failed"
    assert "film.mp4" in cases["box.py"].find("system-out").text
    assert "demos/cavity.py:90 failed in cell 14" in cases["cavity.py"].find("failure").text
    assert cases["box.py"].get("classname") == "demos"


def test_an_empty_run_is_valid():
    assert checked(to_junit([], 0.0))[0].get("tests") == "0"


def test_class_names_are_folders_with_dots():
    (suite,) = checked(to_junit([replace(OK, source="a.b/c/x.y.py"), replace(OK, source="top.py")], 1))
    assert [(case.get("classname"), case.get("name")) for case in suite] == [
        ("a_b.c", "x.y.py"),
        ("notebooks", "top.py"),
    ]


@settings(deadline=None)
@given(st.text(), st.text(alphabet=st.characters()), st.text(alphabet="\x1b[;m\x00\x08\ud800\ufffe]]><&é"))
def test_any_text_makes_xml_that_parses(name, message, traceback):
    bad = Failure(1, message, traceback, (traceback, HOSTILE), message, 3)
    data = to_junit(
        [replace(FAILED, source=name, error=bad), replace(SKIPPED, reason=traceback)], 1, name=name
    )
    checked(data)
    assert b"\x1b" not in data


@pytest.mark.parametrize(
    ("outcomes", "interrupted", "code"),
    [((), False, 0), ((OK, CACHED), False, 0), ((OK, FAILED), False, 1), ((DIED,), False, 1),
     ((TIMEOUT,), False, 1), ((SKIPPED,), False, 1), ((OK,), True, 130), ((FAILED,), True, 130)],
)  # fmt: skip
def test_exit_codes(outcomes, interrupted, code):
    assert exit_code(outcomes, interrupted=interrupted) == code


def test_a_thousand_notebooks():
    many = [Outcome(f"d/{at}.py", None, "ok", 1.0) for at in range(1000)]
    assert len(checked(to_junit(many, 99999.5))[0]) == 1000
