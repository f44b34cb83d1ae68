"""A kernel that publishes what was printed after it said idle, as those do that read it from a pipe.

A request's code is printed twenty times with a number behind; ``for ever`` without end. As with deno the
parent is whichever request came last.
"""

from __future__ import annotations

import threading
import time

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class TrailingKernel(Kernel):
    implementation = "trailing"
    implementation_version = "1"
    language_info = {"name": "trailing", "mimetype": "text/plain", "file_extension": ".sh"}  # noqa: RUF012
    banner = "trailing"

    async def do_execute(self, code, silent, *rest, **more):
        self.latest = self.get_parent("shell")
        threading.Thread(target=self._print, args=(code,), daemon=True).start()
        return {
            "status": "ok",
            "execution_count": self.execution_count,
            "payload": [],
            "user_expressions": {},
        }

    def _print(self, code):
        number = 0
        while number < 20 or code == "for ever":
            time.sleep(0.005)  # the pipe's own time
            content = {"name": "stdout", "text": f"{code} {number}\n"}
            self.session.send(self.iopub_socket, "stream", content, parent=self.latest, ident=b"stream")
            number += 1


IPKernelApp.launch_instance(kernel_class=TrailingKernel)
