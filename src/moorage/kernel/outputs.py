"""From iopub messages to the outputs of a cell, as nbformat has them. No I/O.

Source: "Display data", "Streams" and "Update display data" in Jupyter's messaging specification;
the output schema of nbformat 4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from moorage.kernel.terminal_text import as_shown
from moorage.kernel.weight import is_too_deep, weigh
from moorage.wire.messages import Message

Output = dict[str, Any]

_JSON_TYPE = re.compile(r"application/(?:.*\+)?json")
# Each piece of its own takes 49 bytes more than its text: many a line takes less.
_BLOCK = 64 * 1024


class _Shown:
    """What one display id shows: one bundle, which all outputs with this id hold."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.weight = 0
        self.outputs = 0

    def change(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        for kept, new in ((self.data, data), (self.metadata, metadata)):
            if kept is not new:
                kept.clear()
                kept.update(new)


class Displays:
    """Every output with a display id, so that a later cell can update it.

    Takes time in proportion to what a message holds, however many outputs there are.

    Attributes:
        weight: about how many bytes they take together.
    """

    def __init__(self) -> None:
        self.weight = 0
        self._by_id: dict[str, _Shown] = {}
        # By identity: the output, which has to live as long as its identity is used, and its display id.
        self._registered: dict[int, tuple[Output, str]] = {}

    def register(self, display_id: str, output: Output) -> None:
        """Remember that ``output`` shows ``display_id``, and bring its older copies up to date."""
        shown = self._by_id.setdefault(display_id, _Shown())
        shown.outputs += 1
        self._registered[id(output)] = output, display_id
        self.update(display_id, output["data"], output["metadata"])
        output["data"], output["metadata"] = shown.data, shown.metadata

    def update(self, display_id: str, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Change all outputs that show ``display_id``, in place, in whichever cell they are."""
        shown = self._by_id.get(display_id)
        if shown is not None:
            shown.change(data, metadata)
            now = weigh(data)
            self.weight += now - shown.weight
            shown.weight = now

    def forget(self, outputs: Iterable[Output]) -> None:
        """Forget outputs that are shown no more."""
        for output in outputs:
            _, display_id = self._registered.pop(id(output), (output, ""))
            shown = self._by_id.get(display_id)
            if shown is not None:
                shown.outputs -= 1
                if not shown.outputs:
                    del self._by_id[display_id]
                    self.weight -= shown.weight


class OutputArea:
    """The outputs of one cell, growing message by message.

    Attributes:
        execution_count: the number the kernel gave the execution, or None.
    """

    def __init__(self, displays: Displays | None = None, outputs: Iterable[Output] = ()) -> None:
        """Begin.

        Args:
            displays: shared by the cells of one notebook.
            outputs: what is there already.
        """
        self.execution_count: int | None = None
        self._displays = displays or Displays()
        self._outputs: list[Output] = list(outputs)
        self._settled = len(self._outputs)
        self._streams: list[tuple[str, _Text]] = []
        self._written = True
        self._clear_before_next = False

    def handle(self, message: Message) -> None:
        """Take one iopub message; kinds that are no output change nothing."""
        content = message.content
        match message.msg_type:
            case "stream":
                self._stream(str(content.get("name") or "stdout"), str(content.get("text", "")))
            case "display_data":
                self._show({"output_type": "display_data", **_bundle(content)}, content)
            case "execute_result":
                count = content.get("execution_count")
                self._show(
                    {"output_type": "execute_result", "execution_count": count, **_bundle(content)}, content
                )
            case "update_display_data":
                bundle = _bundle(content)
                self._displays.update(_display_id(content), bundle["data"], bundle["metadata"])
            case "error":
                self._append(
                    {
                        "output_type": "error",
                        "ename": str(content.get("ename", "")),
                        "evalue": str(content.get("evalue", "")),
                        "traceback": traceback_of(content),
                    }
                )
            case "clear_output":
                self._clear_before_next = bool(content.get("wait"))
                if not self._clear_before_next:
                    self.clear()
            case "execute_input":
                count = content.get("execution_count")
                self.execution_count = count if isinstance(count, int) else None

    def clear(self) -> None:
        """Forget all outputs."""
        self._displays.forget(self._outputs)
        self._outputs.clear()
        self._streams.clear()
        self._settled = 0

    @property
    def outputs(self) -> list[Output]:
        """The outputs so far.

        What was written to stdout and stderr stands in the order in which it was: pieces of one stream that
        follow each other are one output, as in JupyterLab.
        """
        self._settle()
        return self._outputs

    def _stream(self, name: str, text: str) -> None:
        self._clear_if_due()
        if not text:
            return
        if not self._streams or self._streams[-1][0] != name:
            self._streams.append((name, _Text()))
        self._streams[-1][1].append(text)
        self._written = False

    def _show(self, output: Output, content: dict[str, Any]) -> None:
        self._append(output)
        if display_id := _display_id(content):
            self._displays.register(display_id, output)

    def _append(self, output: Output) -> None:
        self._clear_if_due()
        self._settle()
        # Lines after this one belong below it.
        self._streams = []
        self._outputs.append(output)
        self._settled = len(self._outputs)

    def _clear_if_due(self) -> None:
        if self._clear_before_next:
            self._clear_before_next = False
            self.clear()

    def _settle(self) -> None:
        """Write the streams of the current run into the outputs, replacing what was written before."""
        if not self._streams or self._written:
            return
        self._written = True
        del self._outputs[self._settled :]
        for name, written in self._streams:
            text = as_shown(written.whole())
            self._outputs.append({"output_type": "stream", "name": name, "text": text})


class _Text:
    """A text that grows by small pieces and takes no more memory than its length."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []
        self._length = 0

    def append(self, piece: str) -> None:
        self._pieces.append(piece)
        self._length += len(piece)
        if self._length > _BLOCK:
            self._blocks.append("".join(self._pieces))
            self._pieces.clear()
            self._length = 0

    def whole(self) -> str:
        text = "".join([*self._blocks, *self._pieces])
        self._blocks, self._pieces, self._length = [text], [], 0
        return text


def is_updatable(message: Message) -> bool:
    """Return whether a message shows what a later one may replace: it has a display id."""
    return message.msg_type != "stream" and bool(_display_id(message.content))


def traceback_of(content: Mapping[str, Any]) -> list[str]:
    """Return the lines of a traceback, which some kernels send as one text."""
    lines = content.get("traceback")
    if not isinstance(lines, list):
        return str(lines).split("\n") if lines else []
    return [str(line) for line in lines]


def _bundle(content: dict[str, Any]) -> dict[str, Any]:
    data, metadata = content.get("data"), content.get("metadata")
    return {
        "data": _valid(data) if isinstance(data, dict) else {},
        "metadata": metadata if isinstance(metadata, dict) and not is_too_deep(metadata) else {},
    }


def _valid(data: dict[str, Any]) -> dict[str, Any]:
    """Return a bundle as the schema has it: a text for every type but those of JSON, and no null."""
    if all(isinstance(value, str) for value in data.values()):
        return data
    kept: dict[str, Any] = {}
    for mime, value in data.items():
        if is_too_deep(value):
            kept.setdefault("text/plain", f"({mime} is nested too deeply to be kept)")
        elif isinstance(value, str) or _JSON_TYPE.fullmatch(mime):
            kept[mime] = value
        elif isinstance(value, list) and all(isinstance(line, str) for line in value):
            kept[mime] = "".join(value)
        elif value is not None:
            kept[mime] = json.dumps(value)
    return kept


def _display_id(content: dict[str, Any]) -> str:
    transient = content.get("transient")
    return str(transient.get("display_id") or "") if isinstance(transient, dict) else ""
