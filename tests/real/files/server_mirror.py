"""Configuration of a Jupyter server that writes down what its process is like, before it is a server."""

import gc
import json
import multiprocessing.process
import os
import random
import resource
import signal
import site
import sys
import tempfile
import threading
import uuid

c = get_config()  # noqa: F821 - traitlets gives it
own = os.path.dirname(os.environ["HOME"])
umask = os.umask(0o077)
os.umask(umask)


def plain(text):
    """Without what is this server's alone."""
    return text.replace(own, "OWN").replace(os.path.basename(own), "ID")


def led_to(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").partition("[")[0]
    except OSError:
        return ""


with open("/proc/self/environ", "rb") as file:
    shown = dict(word.partition("=")[::2] for word in os.fsdecode(file.read()).split("\0") if word)
with open("/proc/self/cmdline", "rb") as file:
    words = os.fsdecode(file.read()).split("\0")[:-1]
signals = {}
for each in sorted(signal.valid_signals()):
    handler = signal.getsignal(each)
    signals[int(each)] = getattr(handler, "__qualname__", str(handler))
alike = {
    "argv": [plain(word) for word in sys.argv],
    "orig_argv": [plain(word) for word in sys.orig_argv],
    "cmdline": [plain(word) for word in words],
    "environ": {name: plain(value) for name, value in os.environ.items() if name != "MOORAGE_KEPT"},
    "shown": {name: plain(value) for name, value in shown.items() if name != "MOORAGE_KEPT"},
    "kept": os.environ["MOORAGE_KEPT"] == shown["MOORAGE_KEPT"],
    "cwd": plain(os.getcwd()),
    "home": [plain(os.path.expanduser("~")), plain(site.getuserbase()), plain(site.getusersitepackages())],
    "temp": plain(tempfile.gettempdir()),
    "path": [plain(path) for path in sys.path],
    "flags": str(sys.flags),
    "main": sys.modules["__main__"].__spec__.name,
    "umask": umask,
    "leads": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
    "signals": signals,
    "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
    "threads": [threading.active_count(), threading.main_thread().native_id == os.getpid()],
    "descriptors": sorted(filter(None, (led_to(fd) for fd in os.listdir("/proc/self/fd") if int(fd) < 900))),
    "streams": [
        (each.encoding, each.errors, each.line_buffering, each.write_through, each.isatty())
        for each in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "collects": [gc.isenabled(), gc.get_threshold()],
    "limits": [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name[:7] == "RLIMIT_"],
    "nice": os.nice(0),
    "hooks": [sys.gettrace(), sys.getprofile(), sys.excepthook is sys.__excepthook__],
    "configuration": sorted(c.MoorageProvisioner),
}
different = {
    "random": random.random(),
    "uuid": str(uuid.uuid4()),
    "authkey": bytes(multiprocessing.process.current_process().authkey).hex(),
    "name": next(tempfile._get_candidate_names()),
}
with open("mirror.json", "w") as file:
    json.dump({"alike": alike, "different": different, "modules": sorted(sys.modules)}, file)
