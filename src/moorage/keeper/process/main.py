"""The keeper: a small process, the parent of one charge, which outlives what launched both.

Run as ``python -I -S -E main.py LINK LOCK DIRECTORY``: LINK is a descriptor of a stream socket, its first
link, LOCK one of its locked file, DIRECTORY its own. It leaves its parent by forking once. Then it waits
on the first link for ``start``; what can be said on a link stands in docs/reference/link.md, why it is done
so in docs/design/0018-keeper.md.

One thread, poll(2), standard library only, from Python 3.9 on, and nothing of the package.
"""
# ruff: noqa: PTH100, PTH118, PTH120 - pathlib is too large for a keeper

from __future__ import annotations

import os
import sys

assert sys.platform != "win32", "keepers need Unix sockets and fork"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from moorage.keeper.process.beside import Forks
    from moorage.keeper.process.charge import Execute
if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.keeper.process.begin import serve
else:
    if "keeper.process.begin" not in sys.modules:  # not packed into one file: they are found by their paths
        _ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        sys.path += [_ROOT, os.path.join(_ROOT, "process")]
    from keeper.process.begin import serve


def main(
    first: int,
    lock: int,
    directory: str,
    execute: Execute | None = None,
    forks: Forks | None = None,
) -> None:
    """Leave the parent, and keep what the first link says, to its end.

    Args:
        first: descriptor of the first link.
        lock: of the locked file.
        directory: the keeper's own; it becomes the working directory.
        execute: how the charge becomes its program; None for execve(2).
        forks: what else forks can become; None where they cannot.
    """
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0o077)
    os.chdir(directory)
    for fd in (first, lock):
        os.set_inheritable(fd, False)
    serve(first, lock, execute, forks)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
