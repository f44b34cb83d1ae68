"""A kernel that gets much wrong: no implementation, no counts, errors that are none, no interrupts."""

import signal
import time

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class Odd(Kernel):
    implementation = ""
    implementation_version = "0"
    language_info = {"name": "odd"}
    banner = ""

    async def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False):
        if code == "loop":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.send_response(self.iopub_socket, "stream", {"name": "stdout", "text": "on\n"})
            time.sleep(30)
        return {"status": "ok"}


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=Odd)
