"""One notebook on one kernel, and what can go wrong with it."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from moorage.discovery.kernelspec import KernelSpec, native
from moorage.kernel import outputs
from moorage.kernel.launch import launch
from moorage.notebooks.execution.executor import Executor, TimeLimits
from moorage.plan.lifecycle import Exited
from moorage.wire.messages import Header, Message

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def python(anyio_backend):
    """For notebooks that leave their kernel alive and well."""
    async with launch(native()) as kernel:
        yield kernel


def code(source, *tags):
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": list(tags)},
        "outputs": ["old"],
        "execution_count": 9,
    }


def notebook(*cells):
    cells = [code(cell) if isinstance(cell, str) else cell for cell in cells]
    return {"cells": cells, "metadata": {"widgets": "old"}, "nbformat": 4, "nbformat_minor": 5}


def text(cell):
    return "".join(output.get("text", "") for output in cell["outputs"])


async def run(made, kernel, **options):
    async with asyncio.timeout(60):
        return await Executor(made, kernel, **options).run()


async def test_all_cells_run_and_have_their_outputs(python):
    seen = []
    markdown = {"cell_type": "markdown", "source": "# x", "metadata": {}}
    made = notebook("print(1)", markdown, "2", "")
    execution = await run(made, python, on_cell=lambda *each: seen.append(each))
    assert (execution.status, execution.failure, execution.cells_done) == ("ok", None, len(seen))
    assert text(made["cells"][0]) == "1\n"
    assert made["cells"][2]["outputs"][0]["data"]["text/plain"] == "2"
    assert made["cells"][2]["execution_count"] == made["cells"][0]["execution_count"] + 1
    assert seen[:2] == [(1, len(seen), 1), (2, len(seen), 3)]
    assert "widgets" not in made["metadata"]


async def test_late_output_is_drawn_once_however_many_pieces_it_comes_in(python, monkeypatch):
    """Each time all of the cell's text is drawn, which took a minute a piece where that was long."""
    made = notebook("print(1)")
    executor = Executor(made, python)
    await executor.run()
    drawn = []
    monkeypatch.setattr(outputs, "as_shown", lambda whole: drawn.append(whole) or whole)
    for number in range(100):
        content = {"name": "stdout", "text": f"late {number}\n"}
        executor.receive_late(Message("iopub", Header("id", "stream"), {}, {}, content))
    executor.write_back()
    assert text(made["cells"][0]) == "1\n" + "".join(f"late {number}\n" for number in range(100))
    assert len(drawn) == 1


async def test_an_error_stops_and_keeps_the_outputs_up_to_it(python):
    made = notebook("print(1)", "print('before'); 1/0", "print(3)")
    execution = await run(made, python, lines={1: 17})
    assert (execution.status, execution.cells_done) == ("failed", 2)
    failure = execution.failure
    assert (failure.cell, failure.ename, failure.line) == (2, "ZeroDivisionError", 17)
    assert failure.cell_source == "print('before'); 1/0"
    assert text(made["cells"][1]) == "before\n"
    assert made["cells"][1]["outputs"][-1]["output_type"] == "error"
    assert (made["cells"][2]["outputs"], made["cells"][2]["execution_count"]) == ([], None)


async def test_errors_that_are_allowed_are_still_failures(python):
    made = notebook("1/0", "print(2)", "import nonsense", "print(4)")
    execution = await run(made, python, allow_errors=True)
    assert (execution.status, execution.cells_done) == ("failed", 4)
    assert execution.failure.ename == "ZeroDivisionError"
    assert (text(made["cells"][1]), text(made["cells"][3])) == ("2\n", "4\n")


async def test_errors_never_make_the_kernel_refuse_the_next_cell(python):
    cells = [each for number in range(15) for each in (code("1/0", "raises-exception"), f"print({number})")]
    made = notebook(*cells)
    execution = await run(made, python)
    assert (execution.status, execution.failure) == ("ok", None)
    assert [text(cell) for cell in made["cells"][1::2]] == [f"{number}\n" for number in range(15)]


async def test_a_later_cell_changes_what_an_earlier_one_shows(python):
    made = notebook("h = display('old', display_id=True)", "h.update('new')")
    await run(made, python)
    assert made["cells"][0]["outputs"][0]["data"]["text/plain"] == "'new'"
    assert made["cells"][1]["outputs"] == []


# -- deadlines -------------------------------------------------------------------------------------


async def test_a_cell_whose_time_is_up_is_interrupted(python):
    made = notebook("print(1)", "print('on', flush=True)\nimport time\ntime.sleep(60)", "print(3)")
    execution = await run(made, python, limits=TimeLimits(cell=0.5))
    assert (execution.status, execution.cells_done) == ("timeout", 1)
    assert "the cell took longer than 0.5 s" in execution.reason
    assert (execution.failure.cell, execution.failure.ename) == (2, "DeadlineExceeded")
    assert made["cells"][1]["outputs"][-1]["ename"] == "KeyboardInterrupt"
    assert text(made["cells"][1]) == "on\n"


async def test_a_cell_that_ended_while_this_process_stood_still_was_in_time(python):
    made = notebook("for n in range(500): print(n, flush=True)")
    # Blocked, as by a large copy or by Ctrl-Z.
    asyncio.get_running_loop().call_soon(time.sleep, 3)
    execution = await run(made, python, limits=TimeLimits(cell=1.5))
    assert execution.status == "ok"
    assert text(made["cells"][0]).count("\n") == 500


async def test_a_notebook_whose_time_is_up_is_interrupted(python):
    made = notebook(*["import time; time.sleep(0.2)"] * 100)
    execution = await run(made, python, limits=TimeLimits(notebook=1))
    assert execution.status == "timeout"
    assert 0 < execution.cells_done < 100
    assert "the notebook took longer than 1 s" in execution.reason


async def test_a_cell_that_ignores_interrupts_is_killed():
    async with launch(native()) as kernel:
        stubborn = (
            "import signal, time\nsignal.signal(2, signal.SIG_IGN)\nprint('on', flush=True)\ntime.sleep(600)"
        )
        made = notebook(stubborn)
        async with asyncio.timeout(120):
            execution = await run(made, kernel, limits=TimeLimits(cell=0.5, grace=0.3))
            await kernel.process.wait()
    assert execution.status == "timeout"
    assert text(made["cells"][0]) == "on\n"
    assert isinstance(kernel.status, Exited)
    assert kernel.status.cause == "deadline"


# -- floods ----------------------------------------------------------------------------------------


async def test_endless_output_is_interrupted_and_bounded(python):
    made = notebook("while True: print('x' * 1000)", "print(2)")
    execution = await run(made, python, limits=TimeLimits(output=100_000))
    assert (execution.status, execution.failure.ename) == ("failed", "OutputLimit")
    assert 100_000 <= len(text(made["cells"][0])) < 100_000_000  # ipykernel gathers
    assert made["cells"][1]["outputs"] == []


async def test_every_flood_is_noticed_where_errors_are_allowed(python):
    flood = "while True: print('x' * 1000)"
    made = notebook(flood, "print(2)", flood)
    execution = await run(made, python, limits=TimeLimits(output=50_000), allow_errors=True)
    assert execution.status == "failed"
    assert text(made["cells"][1]) == "2\n"
    assert len(text(made["cells"][2])) < 100_000_000  # ipykernel gathers


async def test_displays_flood_too_and_ending_well_is_no_excuse(python):
    flood = (
        "try:\n    while True: display({'text/plain': 'x' * 1000}, raw=True)\nexcept KeyboardInterrupt: pass"
    )
    made = notebook(flood)
    execution = await run(made, python, limits=TimeLimits(output=50_000))
    assert (execution.status, execution.failure.ename) == ("failed", "OutputLimit")


async def test_what_is_cleared_does_not_count(python):
    made = notebook(
        "from IPython.display import clear_output\n"
        "for i in range(100):\n    clear_output(wait=True); print('x' * 1000 + str(i))"
    )
    execution = await run(made, python, limits=TimeLimits(output=10_000))
    assert execution.status == "ok"
    assert text(made["cells"][0]).endswith("x99\n")


async def test_a_flood_that_ignores_interrupts_is_killed():
    async with launch(native()) as kernel:
        made = notebook("import signal\nsignal.signal(2, signal.SIG_IGN)\nwhile True: print('x' * 1000)")
        execution = await run(made, kernel, limits=TimeLimits(output=50_000, grace=0.3))
    assert (execution.status, execution.failure.ename) == ("failed", "OutputLimit")
    assert 50_000 <= len(text(made["cells"][0])) < 100_000_000  # ipykernel gathers


# -- deaths ----------------------------------------------------------------------------------------


async def test_a_kernel_killed_in_the_third_of_five_cells():
    async with launch(native()) as kernel:
        # Without the pause the output is often still in the kernel when it dies.
        dying = "print('partial', flush=True)\nimport os, time; time.sleep(0.1); os.kill(os.getpid(), 9)"
        made = notebook("print(1)", "print(2)", dying, "print(4)", "print(5)")
        execution = await run(made, kernel)
    assert (execution.status, execution.cells_done) == ("died", 2)
    assert (execution.failure.cell, execution.failure.ename) == (3, "KernelDied")
    assert "SIGKILL" in execution.reason
    assert [text(cell) for cell in made["cells"]] == ["1\n", "2\n", "partial\n", "", ""]


async def test_a_kernel_that_is_dead_already():
    async with launch(native()) as kernel:
        await kernel.shutdown(at_once=True)
        execution = await run(notebook("1"), kernel)
    assert (execution.status, execution.cells_done) == ("died", 0)


async def test_cancelling_keeps_the_outputs_so_far(python):
    made = notebook("print(1)", "print('so far', flush=True)\nimport time; time.sleep(60)")
    running = asyncio.Event()

    async with asyncio.TaskGroup() as group:
        python.client.listen(
            lambda message: running.set() if "so far" in str(message.content.get("text")) else None
        )
        task = group.create_task(run(made, python))
        await running.wait()
        await asyncio.sleep(0)
        task.cancel()
    python.interrupt()
    await python.client.flush()
    assert text(made["cells"][0]) == "1\n"
    assert text(made["cells"][1]) == "so far\n"


# -- widgets ---------------------------------------------------------------------------------------

needs_widgets = pytest.mark.skipif(
    __import__("importlib").util.find_spec("ipywidgets") is None, reason="ipywidgets is not installed"
)


@needs_widgets
async def test_the_state_of_widgets_is_stored_with_its_buffers(python):
    made = notebook(
        "import ipywidgets as w\nslider = w.IntSlider(value=3)\nslider",
        "slider.value = 7",
        "w.Image(value=b'\\x00\\xff')",
    )
    assert (await run(made, python)).status == "ok"
    (stored,) = made["metadata"]["widgets"].values()
    models = {model["model_name"]: model for model in stored["state"].values()}
    assert models["IntSliderModel"]["state"]["value"] == 7
    (buffer,) = models["ImageModel"]["buffers"]
    assert buffer == {"data": "AP8=", "encoding": "base64", "path": ["value"]}
    view = made["cells"][0]["outputs"][0]["data"]["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] in stored["state"]


@needs_widgets
async def test_an_output_widget_captures(python):
    made = notebook(
        "import ipywidgets as w\nout = w.Output()\nprint('mine')\n"
        "with out:\n    print('captured')\n    display('shown')\nprint('mine too')",
        "print(len(out.outputs), out.outputs[0]['text'])",
        "with out: print('more')",
        "print(out.outputs[-1]['text'])",
    )
    assert (await run(made, python)).status == "ok"
    cells = made["cells"]
    assert text(cells[0]) == "mine\nmine too\n"
    assert text(cells[1]) == "2 captured\n\n"
    assert (cells[2]["outputs"], text(cells[3])) == ([], "more\n\n")
    (stored,) = made["metadata"]["widgets"].values()
    (model,) = [each for each in stored["state"].values() if each["model_name"] == "OutputModel"]
    assert [output["output_type"] for output in model["state"]["outputs"]] == [
        "stream",
        "display_data",
        "stream",
    ]


@needs_widgets
async def test_an_error_in_an_output_widget_is_captured_and_not_lost(python):
    made = notebook("import ipywidgets as w\nout = w.Output()\nwith out: 1/0", "print(2)")
    execution = await run(made, python)
    shown = [each["output_type"] for each in made["cells"][0]["outputs"]]
    stored = next(iter(made["metadata"]["widgets"].values()))["state"].values()
    captured = [each["output_type"] for model in stored for each in model["state"].get("outputs", [])]
    assert "error" in shown + captured
    assert execution.status in {"ok", "failed"}


@pytest.fixture(scope="module")
async def refusing(anyio_backend):
    program = str(Path(__file__).parent / "files" / "refusing_kernel.py")
    argv = (sys.executable, program, "-f", "{connection_file}")
    async with launch(KernelSpec("refusing", argv, "", "refusing"), rendezvous="ipc") as kernel:
        yield kernel


async def test_a_cell_that_the_kernel_dropped_is_sent_again(refusing):
    made = notebook("refuse 3", "said")
    execution = await run(made, refusing)
    assert (execution.status, text(made["cells"][1])) == ("ok", "said")


async def test_a_cell_that_is_never_run_fails(refusing):
    execution = await run(notebook("refuse 6", "said"), refusing)
    assert (execution.status, execution.failure.ename) == ("failed", "Aborted")


async def test_a_cell_that_was_stopped_half_way_fails(refusing):
    execution = await run(notebook("stop"), refusing)
    assert (execution.status, execution.failure.ename) == ("failed", "Aborted")


# -- what is kept ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shown",
    [
        "display({'application/json': [{}] * 1000}, raw=True)",
        "display({'application/json': {'a': ['x' * 10] * 1000}}, raw=True, display_id=str(n))",
        "display({}, raw=True, display_id=str(n)); update_display(big, raw=True, display_id=str(n))",
        "keep.append(Comm(target_name='jupyter.widget', data={'state': {'value': ['x' * 10] * 1000}}))",
        "keep.append(Comm(target_name='jupyter.widget', data=in_buffer, buffers=[b'x' * 10_000]))",
    ],
)
async def test_everything_that_is_kept_counts(python, shown):
    code = (
        "from IPython.display import display, update_display\nfrom ipykernel.comm import Comm\nimport time\n"
        "big = {'text/plain': 'x' * 10_000}\nin_buffer = {'state': {}, 'buffer_paths': [['v']]}\n"
        f"keep = []\nfor n in range(1000):\n    {shown}\n    time.sleep(0.01)"
    )
    made = notebook(code)
    execution = await run(made, python, limits=TimeLimits(output=100_000))
    assert (execution.status, execution.failure.ename) == ("failed", "OutputLimit")


async def test_what_takes_the_place_of_something_does_not_count_twice(python):
    made = notebook(
        "from IPython.display import display\n"
        "handle = display({'text/plain': ''}, raw=True, display_id=True)\n"
        "for n in range(100):\n    handle.update({'text/plain': 'x' * 10_000}, raw=True)"
    )
    execution = await run(made, python, limits=TimeLimits(output=50_000))
    assert execution.status == "ok"


async def test_odd_errors_and_displays_end_no_more_than_their_cell(python):
    made = notebook(
        "display({'text/html': None, 'text/plain': 7}, raw=True)\n"
        "ip = get_ipython()\n"
        "ip.kernel.session.send(ip.kernel.iopub_socket, 'error', {'ename': 1, 'evalue': 2, 'traceback': 3},"
        " parent=ip.kernel.get_parent())",
        "print(2)",
    )
    execution = await run(made, python)
    assert execution.status == "ok"
    assert made["cells"][0]["outputs"][0]["data"] == {"text/plain": "7"}
    assert made["cells"][0]["outputs"][1]["traceback"] == ["3"]
    assert text(made["cells"][1]) == "2\n"
