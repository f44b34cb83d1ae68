"""When a server is put to sleep, and when it is woken: no I/O, no clock.

=============  ==========================  ========================================================
state          event                       what follows
=============  ==========================  ========================================================
ServerAwake    Looked, unused for so long  ServerAsked; AskIt
ServerAsked    FoundInUse                  ServerAwake, from now on
ServerAsked    RouteHeld                   ServerLeaving; EndProcess
ServerLeaving  ActSeen                     ServerLeaving, to be woken
ServerLeaving  ProcessEnded                ServerAsleep; to be woken ServerWaking, StartProcess
ServerAsleep   ActSeen                     ServerWaking; StartProcess
ServerWaking   ActSeen                     nothing: it is woken once, however many ask for it
ServerWaking   Answers                     ServerAwake; LetGo
ServerWaking   NotStarted                  ServerAsleep; Refuse
=============  ==========================  ========================================================

Anything else follows from no event. A server that ends has no machine any more.
"""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct


class Looked(Struct, frozen=True):
    """It is time to look whether it is in use; ``used`` is when it was last."""

    used: float


class FoundInUse(Struct, frozen=True):
    """A kernel of it is busy, or something else would be lost."""


class RouteHeld(Struct, frozen=True):
    """Nothing of it is in use, and what its visitor sends from now on is held."""


class ActSeen(Struct, frozen=True):
    """Its visitor did something that it is needed for."""


class ProcessEnded(Struct, frozen=True):
    """Its process has ended; its kernels live."""


class Answers(Struct, frozen=True):
    """It answers again."""


class NotStarted(Struct, frozen=True):
    """It could not be started; ``why`` says the reason, and its kernels live."""

    why: str


Event = Looked | FoundInUse | RouteHeld | ActSeen | ProcessEnded | Answers | NotStarted


class AskIt(Struct, frozen=True):
    """Ask it whether it is in use, and hold what its visitor sends if not."""


class EndProcess(Struct, frozen=True):
    """End its process, and leave its kernels."""


class StartProcess(Struct, frozen=True):
    """Start its process again."""


class LetGo(Struct, frozen=True):
    """Pass on what is held."""


class Refuse(Struct, frozen=True):
    """Tell those that wait why it is not there."""

    why: str


Command = AskIt | EndProcess | StartProcess | LetGo | Refuse


class ServerAwake(Struct, frozen=True):
    """It runs, and was found in use, or began to run, at the time ``since``."""

    since: float


class ServerAsked(Struct, frozen=True):
    """It is asked whether it is in use."""


class ServerLeaving(Struct, frozen=True):
    """Its process is being ended; ``wanted`` says whether its visitor needs it meanwhile."""

    wanted: bool = False


class ServerAsleep(Struct, frozen=True):
    """Its process has ended, and its kernels live."""


class ServerWaking(Struct, frozen=True):
    """Its process is being started."""


State = ServerAwake | ServerAsked | ServerLeaving | ServerAsleep | ServerWaking


class Sleep:
    """The sleep of one server.

    Args:
        after: seconds without use after which it is put to sleep.
        state: that it begins with.
    """

    def __init__(self, after: float, state: State) -> None:
        self._after = after
        self.state = state

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take in what happened and return what is to be done.

        Args:
            event: what happened.
            now: time in seconds, on the clock that ``used`` is of.
        """
        match event:
            case Looked(used):
                return self._looked(used, now)
            case ActSeen():
                return self._act()
            case FoundInUse() | RouteHeld():
                return self._found(event, now)
            case ProcessEnded():
                return self._left()
            case Answers() | NotStarted():
                return self._started(event, now)
            case _:
                assert_never(event)

    def _looked(self, used: float, now: float) -> list[Command]:
        if isinstance(self.state, ServerAwake) and now - max(used, self.state.since) >= self._after:
            self.state = ServerAsked()
            return [AskIt()]
        return []

    def _act(self) -> list[Command]:
        if isinstance(self.state, ServerLeaving):
            self.state = ServerLeaving(wanted=True)
        elif isinstance(self.state, ServerAsleep):
            self.state = ServerWaking()
            return [StartProcess()]
        return []

    def _left(self) -> list[Command]:
        if not isinstance(self.state, ServerLeaving):
            return []
        self.state = ServerWaking() if self.state.wanted else ServerAsleep()
        return [StartProcess()] if isinstance(self.state, ServerWaking) else []

    def _found(self, event: FoundInUse | RouteHeld, now: float) -> list[Command]:
        if not isinstance(self.state, ServerAsked):
            return []
        in_use = isinstance(event, FoundInUse)
        self.state = ServerAwake(now) if in_use else ServerLeaving()
        return [] if in_use else [EndProcess()]

    def _started(self, event: Answers | NotStarted, now: float) -> list[Command]:
        if not isinstance(self.state, ServerWaking):
            return []
        self.state = ServerAwake(now) if isinstance(event, Answers) else ServerAsleep()
        return [LetGo()] if isinstance(event, Answers) else [Refuse(event.why)]
