"""What notebooks may expect of whoever runs them: the meaning of messages and tags, on real kernels.

The situations are those nbclient's own suite has notebooks for; what is expected of each is the same here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command import Done, typed_in, write

pytestmark = pytest.mark.real

Cell = dict[str, Any]


def code(source: str, *tags: str, outputs: tuple[Cell, ...] = (), count: int | None = None) -> Cell:
    metadata = {"tags": list(tags)} if tags else {}
    return {
        "cell_type": "code",
        "execution_count": count,
        "metadata": metadata,
        "outputs": list(outputs),
        "source": source,
    }


def markdown(source: str) -> Cell:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def notebook(*cells: Cell, minor: int = 4, **metadata: Any) -> str:
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": minor})


OLD = {"output_type": "stream", "name": "stdout", "text": "of an earlier day\n"}
CLEAR = "from IPython.display import clear_output\n"
SHOW = "from IPython.display import display\n"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WAITING = """\
import pathlib, time
pathlib.Path("{mine}").touch()
end = time.monotonic() + 60
while not pathlib.Path("{other}").exists():
    assert time.monotonic() < end, "the other notebook never ran"
    time.sleep(0.01)
"""

NOTEBOOKS = {
    "kills.ipynb": notebook(
        code("print('alive')"), code("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"), code("3")
    ),
    "asks.ipynb": notebook(code("input('your name: ')"), code("print('not reached')", outputs=(OLD,))),
    "skips.ipynb": notebook(
        code("x = 1"),
        code("x = 2; this is no python", "skip-execution", outputs=(OLD,), count=9),
        code("print(x)"),
    ),
    "expected.ipynb": notebook(
        code("print('before')\nraise KeyError('expected')", "raises-exception"), code("print('after')")
    ),
    "raises.ipynb": notebook(
        code("import sys\nprint('out')\nprint('err', file=sys.stderr)\n1 / 0"), code("2", outputs=(OLD,))
    ),
    "clears.ipynb": notebook(
        code(CLEAR + "print('gone')\nclear_output()"),
        code(CLEAR + "print('gone')\nclear_output()\nprint('kept')"),
        code(CLEAR + "print('kept')\nclear_output(wait=True)"),
        code(CLEAR + "print('gone')\nclear_output(wait=True)\nprint('kept')"),
        code(CLEAR + SHOW + "handle = display('old', display_id='here')"),
        code(CLEAR + "print('kept')\nclear_output(wait=True)\nhandle.update('new')"),
    ),
    "updates.ipynb": notebook(
        code(SHOW + "handle = display('first', display_id='one')\ndisplay('other', display_id='two');"),
        code("display('second', display_id='one');"),
        code("handle.update('third')"),
    ),
    "orders.ipynb": notebook(
        code(
            SHOW + "import sys\nprint('one'); print('two')\ndisplay('between')\n"
            "print('three')\nprint('four', file=sys.stderr)\n'last'"
        ),
    ),
    "widgets.ipynb": notebook(
        code("import ipywidgets\nout = ipywidgets.Output()\nslider = ipywidgets.IntSlider(3)\nslider"),
        code("with out:\n    print('caught')\n    display('shown')\nprint('free')"),
        code("out"),
        widgets={"application/vnd.jupyter.widget-state+json": {"state": {"old": {}}}},
    ),
    "comms.ipynb": notebook(
        code("from comm import create_comm\nc = create_comm(target_name='mine', data={'state': 'no dict'})"),
        code("c.send({'state': {'a': 1}}); c.close()\nprint('done')"),
    ),
    "pictures.ipynb": notebook(
        code("from IPython.display import SVG, Image\nSVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')"),
        code(f"import base64\nImage(base64.b64decode('{PIXEL}'))"),
    ),
    "unicode.ipynb": notebook(markdown("☃ 𝄞"), code("print('☃ 𝄞 \\udc80')\n'ü'")),
    "empty.ipynb": notebook(code("", outputs=(OLD,), count=4), code("  \n# "), code("1"), code("\n")),
    "history.ipynb": notebook(
        code("ip = get_ipython()\nip.history_manager.hist_file"),
        code("ip.history_manager.session_number >= 1"),
    ),
    "waits_a.ipynb": notebook(code(WAITING.format(mine="a.mark", other="b.mark"))),
    "waits_b.ipynb": notebook(code(WAITING.format(mine="b.mark", other="a.mark"))),
}


class Rendered:
    def __init__(self, folder: Path, done: Done) -> None:
        self.folder = folder
        self.notebooks = done.notebooks

    def status(self, name: str) -> str:
        return str(self.notebooks[f"{name}.ipynb"]["status"])

    def read(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "out" / f"{name}.ipynb").read_bytes())
        return found

    def outputs(self, name: str) -> list[list[str]]:
        """Each code cell's outputs: a stream's text, a display's plain text or kind, an error's name."""
        return [
            [_shown(output) for output in cell["outputs"]]
            for cell in self.read(name)["cells"]
            if cell["cell_type"] == "code"
        ]

    def counts(self, name: str) -> list[int | None]:
        return [cell["execution_count"] for cell in self.read(name)["cells"] if cell["cell_type"] == "code"]


def _shown(output: dict[str, Any]) -> str:
    match output["output_type"]:
        case "stream":
            return output["name"][3:] + ": " + "".join(output["text"])
        case "error":
            return f"{output['ename']}: {output['evalue']}"
        case _:
            return "".join(output["data"].get("text/plain", "")).strip("'")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rendered]:
    folder = write(tmp_path_factory.mktemp("semantics"), NOTEBOOKS)
    with typed_in(folder) as moorage:
        options = ["-o", "out", "-j", 2, "--no-cache", "--retries", 0, "--json", "-"]
        yield Rendered(folder, moorage("render", *sorted(NOTEBOOKS), *options, code=1))


def test_two_notebooks_that_wait_for_each_other_finish(rendered: Rendered) -> None:
    assert (rendered.status("waits_a"), rendered.status("waits_b")) == ("ok", "ok")


def test_a_kernel_that_kills_itself_is_a_death_and_keeps_the_outputs(rendered: Rendered) -> None:
    assert rendered.status("kills") == "died"
    assert rendered.outputs("kills") == [["out: alive\n"], [], []]


def test_nobody_answers_input(rendered: Rendered) -> None:
    assert rendered.status("asks") == "failed"
    asked, not_reached = rendered.outputs("asks")
    assert [text.partition(":")[0] for text in asked] == ["StdinNotImplementedError"]
    assert not_reached == []


def test_a_skipped_cell_keeps_everything_and_changes_nothing(rendered: Rendered) -> None:
    assert rendered.status("skips") == "ok"
    assert rendered.outputs("skips") == [[], ["out: of an earlier day\n"], ["out: 1\n"]]
    assert rendered.counts("skips") == [1, 9, 2]


def test_an_expected_error_is_shown_and_the_notebook_goes_on(rendered: Rendered) -> None:
    assert rendered.status("expected") == "ok"
    assert rendered.outputs("expected") == [["out: before\n", "KeyError: 'expected'"], ["out: after\n"]]


def test_an_error_ends_the_notebook_after_what_it_printed(rendered: Rendered) -> None:
    assert rendered.status("raises") == "failed"
    assert rendered.outputs("raises") == [
        ["out: out\n", "err: err\n", "ZeroDivisionError: division by zero"],
        [],
    ]
    assert rendered.counts("raises") == [1, None]
    assert rendered.notebooks["raises.ipynb"]["error"]["cell"] == 1


def test_clearing_now_and_clearing_with_the_next_output(rendered: Rendered) -> None:
    kept = ["out: kept\n"]
    assert rendered.outputs("clears") == [[], kept, kept, kept, ["new"], kept]


def test_an_update_changes_every_display_of_its_id_and_no_other(rendered: Rendered) -> None:
    assert rendered.outputs("updates") == [["third", "other"], ["third"], []]


def test_streams_stand_where_they_were_printed(rendered: Rendered) -> None:
    assert rendered.outputs("orders") == [
        ["out: one\ntwo\n", "between", "out: three\n", "err: four\n", "last"],
    ]


def test_widgets_keep_their_state_and_what_they_caught(rendered: Rendered) -> None:
    assert rendered.status("widgets") == "ok"
    assert rendered.outputs("widgets")[1] == ["out: free\n"]
    saved = rendered.read("widgets")["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]
    assert (saved["version_major"], saved["version_minor"]) == (2, 0)
    models = {model["model_name"]: model["state"] for model in saved["state"].values()}
    assert models["IntSliderModel"]["value"] == 3
    assert [_shown(output) for output in models["OutputModel"]["outputs"]] == ["out: caught\n", "shown"]
    assert "old" not in saved["state"]
    views = [
        output["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
        for cell in rendered.read("widgets")["cells"]
        for output in cell["outputs"]
        if "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    ]
    assert len(views) == 2
    assert set(views) <= set(saved["state"])


def test_comms_that_are_no_widgets_leave_no_widget_state(rendered: Rendered) -> None:
    assert rendered.status("comms") == "ok"
    assert "widgets" not in rendered.read("comms")["metadata"]


def test_pictures_are_as_the_format_wants_them(rendered: Rendered) -> None:
    svg, png = (cell["outputs"][0]["data"] for cell in rendered.read("pictures")["cells"])
    assert isinstance(svg["image/svg+xml"], list)
    assert "".join(svg["image/svg+xml"]).startswith("<svg")
    assert png["image/png"].startswith("iVBORw0KGgo")


def test_text_of_all_planes_survives(rendered: Rendered) -> None:
    assert rendered.status("unicode") == "ok"
    printed, result = rendered.outputs("unicode")[0]
    assert printed.startswith("out: ☃ 𝄞 ")
    assert result == "ü"


def test_an_empty_cell_is_not_run(rendered: Rendered) -> None:
    assert rendered.status("empty") == "ok"
    assert rendered.outputs("empty")[2] == ["1"]
    assert rendered.counts("empty")[2] == 2, "a comment alone is run, blanks are not"


def test_the_history_stays_in_memory(rendered: Rendered) -> None:
    assert rendered.outputs("history")[0] == [":memory:"]


def test_what_is_written_is_valid_and_differs_only_in_what_was_run(rendered: Rendered) -> None:
    nbformat = pytest.importorskip("nbformat")
    for name, text in NOTEBOOKS.items():
        source, written = json.loads(text), rendered.read(name.removesuffix(".ipynb"))
        nbformat.validate(written)
        assert [_bare(cell) for cell in written["cells"]] == [_bare(cell) for cell in source["cells"]]
        ours = {"kernelspec", "language_info", "widgets"}
        assert written["metadata"].keys() - ours == source["metadata"].keys() - ours
        assert (written["nbformat"], written["nbformat_minor"]) == (4, 4)


def _bare(cell: Cell) -> Cell:
    bare = {key: value for key, value in cell.items() if key not in {"outputs", "execution_count"}}
    return {**bare, "source": "".join(cell["source"])}
