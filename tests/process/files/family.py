"""A process with every kind of descendant that is hard to get rid of; prints the kind and pid of each."""

import os
import signal
import sys
import time


def doze():
    while True:
        time.sleep(3600)


def say(kind):
    os.write(1, f"{kind} {os.getpid()}\n".encode())


def fork(what, *args):
    pid = os.fork()
    if pid == 0:
        what(*args)
        os._exit(0)
    return pid


def plain():
    say("plain")
    doze()


def session():
    os.setsid()
    say("setsid")
    doze()


def deaf(kind):
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)
    say(kind)
    doze()


def daemon():
    os.setsid()
    fork(deaf, "daemon")


def stopped():
    say("stopped")
    os.kill(os.getpid(), signal.SIGSTOP)
    doze()


def bomb():
    """Fork without pause, each child too, until sixty are alive at a time."""
    say("bomb")
    for _ in range(60):
        fork(time.sleep, 3600)
    for _ in range(400):
        pid = fork(time.sleep, 0.01)
        os.waitpid(pid, 0)
    doze()


def wiped():
    os.setsid()
    if os.fork() == 0:
        say("wiped")
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(3600)"], {})


KINDS = {
    "plain": plain, "setsid": session, "daemon": daemon, "stopped": stopped, "bomb": bomb, "wiped": wiped,
}  # fmt: skip

if __name__ == "__main__":
    say("leader")
    for kind in sys.argv[1:] or ["plain", "setsid", "daemon"]:
        if kind == "exit":
            time.sleep(0.2)
            sys.exit(3)
        fork(KINDS[kind])
    doze()
