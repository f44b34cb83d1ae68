"""A process that has a warden beside it, in the directory of its argument; it ends with its stdin."""

import os
import signal
import sys

from moorage.keeper.process.beside import fork_warden
from moorage.process.warden import children, kept

children.prctl(children.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # it reaps what comes to it
os.chdir(sys.argv[1])
print(fork_warden(lambda door, marker: kept.main(door), "x"), flush=True)
sys.stdin.read()
