"""Widget models as a notebook file keeps them, and Output widgets that capture other cells' output. No I/O.

Source: "Widget messaging protocol" 2 and the notebook schema ``application/vnd.jupyter.widget-state+json``.
"""

from __future__ import annotations

import base64

from moorage.json_types import JsonObject
from moorage.kernel.outputs import OutputArea
from moorage.kernel.weight import is_too_deep, weigh
from moorage.wire.messages import Message, Request

MIMETYPE = "application/vnd.jupyter.widget-state+json"
_TARGET = "jupyter.widget"


class OutputWidget:
    """An Output widget: takes the output of the request whose ``msg_id`` its state names."""

    def __init__(self, comm_id: str) -> None:
        self.comm_id = comm_id
        self.msg_id = ""
        self.area = OutputArea()

    def replace(self, outputs: object) -> None:
        """Take what the kernel itself put into the widget (``append_stdout``, ``outputs = ()``)."""
        found = outputs if isinstance(outputs, list) else []
        self.area = OutputArea(outputs=[dict(output) for output in found if isinstance(output, dict)])


class Widgets:
    """All widget models of one kernel, followed through its comm messages.

    Attributes:
        weight: about how many bytes their states and buffers take.
    """

    def __init__(self) -> None:
        self._states: dict[str, JsonObject] = {}
        self._buffers: dict[str, dict[tuple[str | int, ...], JsonObject]] = {}
        self._captures: dict[str, OutputWidget] = {}
        self._stack: list[OutputWidget] = []
        self._weights: dict[tuple[object, ...], int] = {}
        self.weight = 0
        self._changed: dict[str, OutputWidget] = {}

    def handle(self, message: Message) -> None:
        """Follow one comm message; others change nothing."""
        content = message.content
        comm_id = content.get("comm_id")
        data = content.get("data")
        if not isinstance(comm_id, str) or not isinstance(data, dict):
            return
        state = data.get("state")
        if data.get("method") == "echo_update":
            return  # our own words
        if message.msg_type == "comm_open" and content.get("target_name") == _TARGET:
            self._open(comm_id, state if isinstance(state, dict) else {})
        if comm_id in self._states and isinstance(state, dict):
            state = {key: value for key, value in state.items() if not is_too_deep(value)}
            self._states[comm_id].update(state)
            for key, value in state.items():
                self._weigh((comm_id, key), weigh(value))
            if comm_id in self._captures and "outputs" in state:
                self._captures[comm_id].replace(state["outputs"])
            self._keep_buffers(comm_id, data, message)
            if comm_id in self._captures and "msg_id" in state:
                self._aim(self._captures[comm_id], str(state["msg_id"] or ""))

    def capture(self, message: Message) -> bool:
        """Offer an output to the Output widgets.

        Args:
            message: an iopub message that would show something.

        Returns:
            Whether a widget took it; otherwise the cell shall have it.
        """
        for capture in reversed(self._stack):
            if capture.msg_id == message.parent_id:
                capture.area.handle(message)
                self._changed[capture.comm_id] = capture
                return True
        return False

    def updates(self) -> list[Request]:
        """Return what to tell the kernel of the outputs its widgets took since the last call.

        Ask once a cell is done: the kernel listens no earlier, and telling it all outputs again with each
        of them would take time and memory that grow with their square.
        """
        requests: list[Request] = []
        for comm_id, capture in self._changed.items():
            outputs = [dict(output) for output in capture.area.outputs]
            self._states[comm_id]["outputs"] = outputs
            update = {"method": "update", "state": {"outputs": outputs}, "buffer_paths": []}
            requests.append(("comm_msg", {"comm_id": comm_id, "data": update}))
        self._changed.clear()
        return requests

    def metadata(self) -> JsonObject | None:
        """Return what belongs under the notebook's ``metadata.widgets``, or None without widgets."""
        self.updates()
        if not self._states:
            return None
        models = {comm_id: self._model(comm_id, state) for comm_id, state in self._states.items()}
        return {MIMETYPE: {"state": models, "version_major": 2, "version_minor": 0}}

    def _open(self, comm_id: str, state: JsonObject) -> None:
        self._states[comm_id] = {}
        kind = (state.get("_model_module"), state.get("_model_name"))
        if kind == ("@jupyter-widgets/output", "OutputModel"):
            self._captures[comm_id] = OutputWidget(comm_id)

    def _aim(self, capture: OutputWidget, msg_id: str) -> None:
        if capture in self._stack:
            self._stack.remove(capture)
        capture.msg_id = msg_id
        if msg_id:
            self._stack.append(capture)

    def _keep_buffers(self, comm_id: str, data: JsonObject, message: Message) -> None:
        paths = data.get("buffer_paths")
        if not isinstance(paths, list):
            return
        kept = self._buffers.setdefault(comm_id, {})
        for path, buffer in zip(paths, message.buffers, strict=False):
            if isinstance(path, list) and all(isinstance(step, str | int) for step in path):
                encoded = base64.b64encode(buffer).decode()
                self._weigh((comm_id, None, *path), len(encoded))
                kept[tuple(path)] = {"data": encoded, "encoding": "base64", "path": path}

    def _weigh(self, part: tuple[object, ...], now: int) -> None:
        self.weight += now - self._weights.get(part, 0)
        self._weights[part] = now

    def _model(self, comm_id: str, state: JsonObject) -> JsonObject:
        model: JsonObject = {
            "model_name": state.get("_model_name"),
            "model_module": state.get("_model_module"),
            "model_module_version": state.get("_model_module_version"),
            "state": state,
        }
        if buffers := self._buffers.get(comm_id):
            model["buffers"] = list(buffers.values())
        return model
