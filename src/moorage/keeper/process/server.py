"""The keeper's loop: its links, its charge, its lease, around poll(2).

Standard library only, from Python 3.9 on, and nothing of the package.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.keeper.process import beside, charge, door, links, output, record, starting, tree
    from moorage.plan import keeping
    from moorage.wire import link
else:
    from keeper.process import charge, door, links, output, record, starting, tree
    from plan import keeping
    from wire import link

assert sys.platform != "win32", "keepers need Unix sockets and fork"

LAST_WORDS = 2.0
"""Seconds that the other ends of links get to read the last status, and to end the links."""
CLOSING = 5.0
"""Seconds that a link gets to read why it is closed."""
LONGEST = 3600.0
"""Seconds that one poll(2) waits at most: its argument is an int of milliseconds."""
MOST_SECONDS = 1e9
"""Longest lease and grace, 31 years."""
DRAIN = 1 << 20
"""Bytes read from the charge's pipe after its end: more than a pipe holds, and not without end."""


class KeeperServer:
    """All that one keeper does.

    Args:
        first: the first link.
        spec: the message ``start`` that came by it.
        entrance: where further links come in.
        news: read end of the pipe that signals write to.
        execute: how the charge becomes its program; None for execve(2).
        forks: what else forks can become; None where they cannot.
    """

    def __init__(
        self,
        first: links.LinkEnd,
        spec: dict[str, Any],
        entrance: door.Door,
        news: int,
        execute: charge.Execute | None = None,
        forks: beside.Forks | None = None,
    ) -> None:
        self._news = news
        self._door = entrance
        self._links: list[links.LinkEnd] = [first]
        self._identity = {"id": str(spec["id"]), "label": str(spec["label"])}
        self._grace = number(spec["grace"])
        self._log = output.OutputLog(record.OUTPUT, int(spec["log"]))
        self._plan = keeping.KeepingPlan(number(spec["lease"]), self._grace, time.monotonic())
        prctl = None if spec["portable"] else charge.find_prctl()
        self._reaps_orphans = prctl is not None and prctl(charge.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        able = forks if self._reaps_orphans else None
        self._starter = starting.Starter(self._identity["id"], prctl, execute, able)
        self._kill: tree.ChargeKill | None = None
        self._left = 0
        self._not_woken: list[Any] | None = None  # the stage that failed, and its errno
        self._charge: charge.Charge | None = None
        self._terminated = False
        self._finish_at: float | None = None
        signal.signal(signal.SIGTERM, self._terminate)
        first.attached = first.watching = True
        self._plan.handle(keeping.LinkAttached(), time.monotonic())
        self._write_record()  # that there is a keeper, before there is a charge
        try:
            self._charge = self._starter.first(spec)
        except charge.StartRefused as error:
            self._refuse(error)
        self._write_record()

    def _wake(self, spec: dict[str, Any]) -> None:
        """Start a charge in the place of the one that was put to sleep."""
        before = self._charge
        if before is None or not isinstance(self._plan.state, keeping.Asleep):
            raise ValueError("the charge is not asleep")
        self._not_woken = None
        self._handle(keeping.WakeWanted())
        try:
            self._charge = self._starter.next(before, spec)
        except charge.StartRefused as error:
            self._sleep_on(error)
            raise OSError(error.number, f"{os.strerror(error.number)} ({error.stage})") from None

    def _sleep_on(self, error: charge.StartRefused) -> None:
        """Take note that the charge cannot be started again now."""
        self._not_woken = [error.stage, error.number]
        self._handle(keeping.ChargeRefused())

    def _terminate(self, *_: object) -> None:
        self._terminated = True

    # -- the loop ------------------------------------------------------------------------------

    def run(self) -> None:
        """Keep the charge to its end."""
        # What ends a link tells that the last words were read. Closing it before would lose them, were
        # anything being written to it from the other end.
        while self._finish_at is None or (time.monotonic() < self._finish_at and self._links):
            ready = self._wait()
            if self._news in ready:
                os.read(self._news, 4096)
            if self._charge is not None:
                self._look_after(self._charge, ready)
            for each in list(self._links):
                if each.reader in ready or each.writer in ready:
                    self._serve(each)
            if self._door.fd in ready:
                self._admit()
            if self._terminated:
                self._terminated = False
                self._handle(keeping.EndWanted(self._grace, keeping.KEEPER))
            self._handle(keeping.TimePassed())
            self._part()

    def end(self) -> None:
        """Kill what is left: nothing, unless an error ended the loop."""
        kept = self._charge
        self._charge = None
        if kept is not None and not isinstance(self._plan.state, keeping.Gone):
            kept.doom()
            kill = tree.tree_kill(kept.pid, reaps_orphans=self._reaps_orphans)
            poll = select.poll()
            poll.register(self._news, select.POLLIN)
            kept.reap()
            while not kill.strike():
                if poll.poll(kill.pause()):
                    os.read(self._news, 4096)
                kept.reap()
        self._log.close()

    def _wait(self) -> dict[int, int]:
        poll = select.poll()
        poll.register(self._news, select.POLLIN)
        for each in self._links:
            sending = select.POLLOUT if each.queue.next() else 0
            poll.register(each.writer, sending)
            poll.register(each.reader, sending | (0 if each.queue.closing else select.POLLIN))
        if self._charge is not None:
            for fd in self._charge.watched():
                poll.register(fd, select.POLLIN)
        times = [self._plan.due(), self._finish_at, *(each.give_up_at for each in self._links)]
        if self._door.fd >= 0:
            times.append(self._door.watch(poll))
        now = time.monotonic()
        seconds = min([LONGEST, *(at - now for at in times if at is not None)])
        if self._kill is not None:
            seconds = min(seconds, self._kill.pause() / 1000)
        return dict(poll.poll(int(seconds * 1000 + 1) if seconds > 0 else 0))

    def _look_after(self, kept: charge.Charge, ready: dict[int, int]) -> None:
        if kept.output >= 0 and kept.output in ready:
            self._take_output(kept)
        exited = kept.reap()
        if kept.report >= 0 and (exited or kept.report in ready):
            try:
                kept.hear()
            except charge.StartRefused as error:
                if isinstance(self._plan.state, keeping.Waking):
                    self._sleep_on(error)
                else:
                    self._refuse(error)
                return
            self._handle(keeping.ChargeStarted())
        if exited:
            self._handle(keeping.ChargeExited())
        if self._starter.lost(kept):
            self._handle(keeping.TenderGone())
        if self._kill is not None and self._kill.strike():
            self._left = self._kill.left
            self._kill = None
            kept.reap()
            self._drain(kept)
            self._handle(keeping.TreeGone())

    def _take_output(self, kept: charge.Charge) -> int:
        try:
            data = os.read(kept.output, 1 << 16)
        except BlockingIOError:
            return 0
        if not data:
            os.close(kept.output)
            kept.output = -1
        else:
            self._log.write(data)
        return len(data)

    def _drain(self, kept: charge.Charge) -> None:
        left = DRAIN
        while left > 0 and kept.output >= 0 and (count := self._take_output(kept)):
            left -= count

    # -- what is decided -----------------------------------------------------------------------

    def _handle(self, event: keeping.KeepingEvent) -> None:
        for command in self._plan.handle(event, time.monotonic()):
            if isinstance(command, keeping.SignalCharge) and self._charge is not None:
                try:  # noqa: SIM105 - contextlib would be one more module to load
                    self._charge.signal(command.signum)
                except OSError:  # another user's by now: the status tells that it could not be killed
                    pass
            elif isinstance(command, keeping.KillCharge) and self._charge is not None:
                self._charge.doom()
                self._kill = tree.tree_kill(self._charge.pid, reaps_orphans=self._reaps_orphans)
            elif isinstance(command, keeping.KillAllBut) and self._charge is not None:
                self._kill = self._starter.put_to_sleep(self._charge)
            elif isinstance(command, keeping.TellStatus):
                self._write_record()
                self._tell_status()
            elif isinstance(command, keeping.Finish):
                self._door.close()
                self._finish_at = time.monotonic() + LAST_WORDS

    def _refuse(self, error: charge.StartRefused) -> None:
        """Tell that there is no charge; no file is left then, for the launcher knows."""
        for each in self._links:
            each.tell({"tell": "failed", "stage": error.stage, "errno": error.number})
        self._charge = None
        self._handle(keeping.ChargeRefused())
        record.remove(os.getcwd())  # noqa: PTH109 - pathlib is too large for a keeper

    # -- what is told --------------------------------------------------------------------------

    def _status(self) -> dict[str, Any]:
        plan, kept = self._plan, self._charge
        if isinstance(plan.state, (keeping.Asleep, keeping.Waking)):
            kept = None
        over = plan.lease_over()
        return {
            "tell": "status",
            "keeper": os.getpid(),
            "state": plan.state.name,
            "reason": plan.state.reason,
            "not_woken": self._not_woken,
            "tender": self._starter.tender(self._charge),
            "pid": kept.pid if kept is not None else None,
            "started": kept.started if kept is not None else None,
            "ended": kept.ended if kept is not None else None,
            "left": self._left,
            "attached": plan.attached,
            "grace": self._grace,
            "lease": plan.lease,
            "lease_left": None if over is None else max(0.0, over - time.monotonic()),
            "output": {"tail": self._log.tail(), "total": self._log.total, "dropped": self._log.dropped},
        }

    def _tell_status(self) -> None:
        over = isinstance(self._plan.state, keeping.Gone)
        told = None
        for each in self._links:
            if each.watching or (over and each.attached):
                told = told or self._status()
                each.tell(told)

    def _write_record(self) -> None:
        """Write what the next program finds should this one not be there any more."""
        kept, told = self._charge, self._status()
        for name in ("tell", "attached", "lease_left"):
            del told[name]
        if not isinstance(self._plan.state, keeping.Gone):
            del told["output"]["tail"]  # the log has it
        told["keeper"] = {"pid": os.getpid(), "start": charge.start_time(os.getpid()), "boot": record.boot()}
        told["charge"] = None if kept is None else {"pid": kept.pid, "start": kept.start, "pipe": kept.pipe}
        for _ in range(3):
            try:
                record.write(".", {"version": link.VERSION, **self._identity, **told})
            except OSError:  # the disk is full: the oldest output goes
                if self._log.make_room():
                    continue
            return

    # -- links ---------------------------------------------------------------------------------

    def _admit(self) -> None:
        hello = {"tell": "hello", "version": link.VERSION, "pid": os.getpid(), **self._identity}
        self._links += self._door.admit(hello, len(self._links))

    def _serve(self, each: links.LinkEnd) -> None:
        each.flush()
        if not (each.closed or each.queue.closing):
            self.obey(each, each.receive())

    def obey(self, each: links.LinkEnd, messages: list[dict[str, Any]]) -> None:
        """Do what a link asks for, and answer."""
        for message in messages:
            answer: dict[str, Any]
            try:
                answer = self._obey(each, message)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                answer = {"tell": "refused", "why": f"{type(error).__name__}: {error}"}
            except OSError as error:
                answer = {"tell": "refused", "why": error.strerror or str(error), "errno": error.errno}
            if "ref" in message:
                answer["ref"] = message["ref"]
            each.tell(answer)

    def _obey(self, each: links.LinkEnd, message: dict[str, Any]) -> dict[str, Any]:
        """Do what one message asks for; return the answer."""
        do = message["do"]
        if do == "status":
            return self._status()
        if do == "watch":
            each.watching = bool(message.get("on", True))
            return self._status()
        if do == "signal":
            self._signal(int(message["signum"]))
        elif do == "sleep":
            if not self._starter.warden and self._starter.tender(self._charge) is None:
                raise ValueError("no warden is beside the charge")
            self._handle(keeping.SleepWanted())
        elif do == "wake":
            self._wake(message)
        elif do == "end":
            each.watching = True
            self._handle(keeping.EndWanted(number(message.get("grace", self._grace))))
        elif do == "lease":
            self._handle(keeping.LeaseSet(number(message["seconds"])))
        elif do in ("attach", "detach"):
            self._attach(each, attached=do == "attach")
        else:
            raise ValueError(f"a keeper cannot do {do!r}")
        return {"tell": "done"}

    def _signal(self, signum: int) -> None:
        if self._charge is None or self._charge.ended is not None:
            raise ProcessLookupError(errno.ESRCH, "the charge has ended")
        self._charge.signal(signum)

    def _attach(self, each: links.LinkEnd, *, attached: bool) -> None:
        if each.attached != attached:
            each.attached = attached
            self._handle(keeping.LinkAttached() if attached else keeping.LinkDetached())

    def _part(self) -> None:
        """Close links that are over, or whose end does not read why they are closed."""
        now = time.monotonic()
        for each in list(self._links):
            if each.queue.closing and each.give_up_at is None:
                each.give_up_at = now + CLOSING
            if each.over or (each.give_up_at is not None and now >= each.give_up_at):
                self._links.remove(each)
                if self._finish_at is None:  # else it ends with the process, after the lock
                    each.close()
                    self._attach(each, attached=False)


def number(value: object) -> float:
    """Return a number of seconds that is none too large and not negative.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST_SECONDS:
        raise ValueError(f"{value!r} is no number of seconds")
    return float(value)
