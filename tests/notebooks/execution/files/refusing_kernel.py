"""A kernel that drops cells, as tslab does for a moment after an error, and stops in the midst of others.

``refuse N`` has the next N cells dropped; ``stop`` is told to have been interrupted. All other cells are printed.
"""

from __future__ import annotations

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class RefusingKernel(Kernel):
    implementation = "refusing"
    implementation_version = "1"
    language_info = {"name": "refusing", "mimetype": "text/plain", "file_extension": ".txt"}  # noqa: RUF012
    banner = "refusing"
    refuse = 0

    async def do_execute(self, code, silent, *rest, **more):
        word, _, number = code.partition(" ")
        if self.refuse:
            self.refuse -= 1
            return {"status": "abort"}
        if word == "stop":
            return {"status": "abort", "execution_count": self.execution_count}
        if word == "refuse":
            self.refuse = int(number)
        else:
            self.send_response(self.iopub_socket, "stream", {"name": "stdout", "text": code})
        return {
            "status": "ok",
            "execution_count": self.execution_count,
            "payload": [],
            "user_expressions": {},
        }


IPKernelApp.launch_instance(kernel_class=RefusingKernel)
