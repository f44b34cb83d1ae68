"""The results of a run for machines: ``--json``, ``--junit`` and the exit code."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from moorage.json_types import JsonObject
from moorage.notebooks.events import GOOD, Failure, Outcome
from moorage.notebooks.output.named import JUNIT_COMMENT
from moorage.notebooks.show import ansi
from moorage.notebooks.show.failed_notebook import file_line, headline, message, source_block, traceback_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from xml.etree import ElementTree as ET

_NOT_XML: Final = "[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]"
"""What XML 1.0 §2.2 forbids even as a character reference; carriage returns go too, parsers change them.

Naming what is allowed instead takes ten times as long to compile.
"""
_RAN_OUT: Final = frozenset({"died", "timeout"})


def to_json(outcomes: Iterable[Outcome], seconds: float, version: str) -> JsonObject:
    """Return the document ``--json`` writes.

    Args:
        outcomes: every notebook of the run.
        seconds: wall time of the run.
        version: moorage's version.
    """
    return {
        "moorage": version,
        "seconds": round(seconds, 3),
        "notebooks": [
            {
                "source": outcome.source,
                "output": outcome.output,
                "status": outcome.status,
                "seconds": round(outcome.seconds, 3),
                "kernel": outcome.kernel,
                "rendezvous": outcome.rendezvous,
                "forked": outcome.forked,
                "not_forked": outcome.not_forked or None,
                "attempts": outcome.attempts,
                "error": _error(outcome.error),
                "reason": outcome.reason or None,
                "artifacts": list(outcome.artifacts),
            }
            for outcome in outcomes
        ],
    }


def to_junit(
    outcomes: Sequence[Outcome], seconds: float, *, name: str = "moorage", started: datetime | None = None
) -> bytes:
    """Return the run as JUnit XML, as Jenkins' ``junit-10.xsd`` has it: one test case per notebook.

    Args:
        outcomes: every notebook of the run.
        seconds: wall time of the run.
        name: name of the test suite, such as the project's.
        started: when the run began, with a time zone; left out when None.
    """
    from xml.etree import ElementTree as ET

    totals = {
        "tests": str(len(outcomes)),
        "failures": str(sum(outcome.status == "failed" for outcome in outcomes)),
        "errors": str(sum(outcome.status in _RAN_OUT for outcome in outcomes)),
        "time": f"{seconds:.3f}",
    }
    root = ET.Element("testsuites", {"name": _clean(name), **totals})
    root.append(ET.Comment(JUNIT_COMMENT))
    skipped = str(sum(outcome.status == "skipped" for outcome in outcomes))
    suite = ET.SubElement(root, "testsuite", {"name": _clean(name), **totals, "skipped": skipped})
    if started is not None:
        suite.set("timestamp", started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    for outcome in outcomes:
        _test_case(suite, outcome)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def exit_code(outcomes: Iterable[Outcome], *, interrupted: bool) -> int:
    """Return the exit code of ``moorage render``: 130 interrupted, 1 something did not end well, else 0."""
    if interrupted:
        return 130
    return 0 if all(outcome.good for outcome in outcomes) else 1


def _error(failure: Failure | None) -> JsonObject | None:
    if failure is None:
        return None
    return {
        "cell": failure.cell,
        "ename": ansi.strip(failure.ename),
        "evalue": ansi.strip(failure.evalue),
        "traceback": [ansi.strip(line) for line in failure.traceback],
    }


def _test_case(suite: ET.Element, outcome: Outcome) -> None:
    from xml.etree import ElementTree as ET

    folder, _, file = outcome.source.rpartition("/")
    # Viewers take dots in a class name for packages, which is what folders are to notebooks.
    attributes = {
        "classname": _clean(folder.replace(".", "_").replace("/", ".")) or "notebooks",
        "name": _clean(file),
        "time": f"{outcome.seconds:.3f}",
    }
    case = ET.SubElement(suite, "testcase", attributes)
    if outcome.status == "skipped":
        ET.SubElement(case, "skipped", {"message": _clean(message(outcome))})
    elif outcome.status not in GOOD:
        tag = "error" if outcome.status in _RAN_OUT else "failure"
        kind = outcome.error.ename if outcome.error else outcome.status
        given = {"type": _clean(kind), "message": _clean(message(outcome) or headline(outcome))}
        ET.SubElement(case, tag, given).text = _clean(_description(outcome))
    written = [*([outcome.output] if outcome.output else []), *outcome.exports, *outcome.artifacts]
    if written:
        ET.SubElement(case, "system-out").text = _clean("\n".join(written))


def _description(outcome: Outcome) -> str:
    from moorage.notebooks.show.failed_notebook import Symbols

    line = file_line(outcome)
    place = f"{outcome.source}:{line}" if line else outcome.source
    source = source_block(outcome, Symbols())
    traceback = traceback_text(outcome, colour=False)
    blocks = [f"{place} {headline(outcome)}", "\n".join(source), traceback]
    return "\n\n".join(block for block in blocks if block)


def _clean(text: str) -> str:
    return re.sub(_NOT_XML, "", ansi.strip(text))
