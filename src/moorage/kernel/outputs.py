"""From iopub messages to the outputs of a cell, as nbformat has them. No I/O.

Source: "Display data", "Streams" and "Update display data" in Jupyter's messaging specification;
the output schema of nbformat 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from moorage.wire.messages import Message

Output = dict[str, Any]


class Displays:
    """Every output with a display id, so that a later cell can update it."""

    def __init__(self) -> None:
        self._by_id: dict[str, list[Output]] = {}

    def register(self, display_id: str, output: Output) -> None:
        """Remember that ``output`` shows ``display_id``, and bring its older copies up to date."""
        self.update(display_id, output["data"], output["metadata"])
        self._by_id.setdefault(display_id, []).append(output)

    def update(self, display_id: str, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Change all outputs that show ``display_id``, in place, in whichever cell they are."""
        for output in self._by_id.get(display_id, ()):
            output["data"] = data
            output["metadata"] = metadata


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
        self._streams: dict[str, list[str]] = {}
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
        self._outputs.clear()
        self._streams.clear()
        self._settled = 0

    @property
    def outputs(self) -> list[Output]:
        """The outputs so far.

        Streams between two other outputs are one output each for stdout and stderr, stdout first: how
        the kernel happened to interleave them differs from run to run.
        """
        self._settle()
        return self._outputs

    def _stream(self, name: str, text: str) -> None:
        self._clear_if_due()
        self._streams.setdefault(name, []).append(text)

    def _show(self, output: Output, content: dict[str, Any]) -> None:
        self._append(output)
        if display_id := _display_id(content):
            self._displays.register(display_id, output)

    def _append(self, output: Output) -> None:
        self._clear_if_due()
        self._settle()
        # Lines after this one belong below it.
        self._streams = {}
        self._outputs.append(output)
        self._settled = len(self._outputs)

    def _clear_if_due(self) -> None:
        if self._clear_before_next:
            self._clear_before_next = False
            self.clear()

    def _settle(self) -> None:
        """Write the streams of the current run into the outputs, replacing what was written before."""
        if not self._streams:
            return
        del self._outputs[self._settled :]
        for name in sorted(self._streams, key=lambda name: (name != "stdout", name)):
            text = _as_shown("".join(self._streams[name]))
            self._outputs.append({"output_type": "stream", "name": name, "text": text})


def _as_shown(text: str) -> str:
    """Return what a terminal would show: a backspace takes one back, a carriage return overwrites the line.

    Linear in the text: a regular expression takes minutes for a line of a megabyte.
    """
    if "\r" not in text and "\x08" not in text:
        return text
    return "\n".join(map(_line_as_shown, text.split("\n")))


def _line_as_shown(line: str) -> str:
    if "\x08" in line:
        kept: list[str] = []
        for character in line:
            if character != "\x08":
                kept.append(character)
            elif kept:
                kept.pop()
        line = "".join(kept)
    if "\r" in line:
        shown = line.rstrip("\r")
        return shown.rpartition("\r")[2] + line[len(shown) :]
    return line


def traceback_of(content: Mapping[str, Any]) -> list[str]:
    """Return the lines of a traceback, which some kernels send as one text."""
    lines = content.get("traceback") or ()
    return lines.split("\n") if isinstance(lines, str) else [str(line) for line in lines]


def _bundle(content: dict[str, Any]) -> dict[str, Any]:
    data, metadata = content.get("data"), content.get("metadata")
    return {
        "data": data if isinstance(data, dict) else {},
        "metadata": metadata if isinstance(metadata, dict) else {},
    }


def _display_id(content: dict[str, Any]) -> str:
    transient = content.get("transient")
    return str(transient.get("display_id") or "") if isinstance(transient, dict) else ""
