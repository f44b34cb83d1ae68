"""Routes whose server sleeps: what their visitor sends waits, what pages send by themselves wakes nothing.

A server is asleep when its process has ended and another one is started in its place as soon as it is needed.
The visitor's websockets to kernels stay open meanwhile, so that its page notices nothing: what comes by them
is kept, and goes to the next process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from moorage.plan.admission import shows_a_page
from moorage.plan.page_requests import can_be_closed, can_be_held, kernel_of, polled
from moorage.plan.routes import prefix_segments
from moorage.proxy.backend import Backend, WaitingRequest
from moorage.proxy.core import ProxyCore
from moorage.proxy.held_socket import HeldSocket, accepted
from moorage.proxy.splice import Reopening, Splice
from moorage.proxy.upstream import Upstream
from moorage.wire.http import RequestHead

PING_SECONDS = 30.0
"""Between two signs of life on websockets that are held: proxies on the way close what is silent for long."""
_JSON = b"Content-Type: application/json\r\n"
_HTML = b"Content-Type: text/html; charset=utf-8\r\n"
_UNKNOWN = b'{"message": "The server is asleep"}'


class Rest:
    """What is held on one route.

    Args:
        core: of the proxy.
        backend: the route.
        act: called when its visitor does what its server is needed for.

    Attributes:
        holds: whether anything is.
        sockets: websockets that are.
    """

    def __init__(self, core: ProxyCore, backend: Backend[Upstream], act: Callable[[], None]) -> None:
        self.holds = False
        self.sockets: set[HeldSocket] = set()
        self._core, self._backend = core, backend
        self._act = act
        self._answers: Mapping[bytes, bytes] | None = None  # None until the server has ended
        self._waiting: list[WaitingRequest] = []
        self._pinged = core.now

    def hold(self) -> bool:
        """Begin to hold what a visitor sends, as :meth:`RestingRoutes.hold` says."""
        backend = self._backend
        splices = [each for each in backend.busy if isinstance(each, Splice)]
        if self.holds or len(splices) < len(backend.busy) or not all(map(self._can_end, splices)):
            return False
        self.holds, self._answers = True, None
        backend.drop_idle(float("inf"))
        for each in splices:
            self._take_over(each)
        return True

    def _can_end(self, splice: Splice) -> bool:
        if splice.again is None:
            return False
        path = self._path(splice.again.request)
        return can_be_closed(path) or (can_be_held(path) and splice.still)

    def _take_over(self, splice: Splice) -> None:
        again = splice.again
        if again is None or can_be_closed(self._path(again.request)):
            splice.close()
            return
        visitor, upstream, scanner = splice.hand_over()
        held = HeldSocket(self._core, self._backend, self, visitor, again, scanner)
        held.keep(upstream)
        self.sockets.add(held)

    def take(self, waiting: WaitingRequest) -> None:
        """Take a request; until the server has ended all wait."""
        if self._answers is None:
            self._waiting.append(waiting)
        else:
            self._judge(waiting, self._answers)

    def slept(self, answers: Mapping[bytes, bytes]) -> None:
        """Take note that the server has ended, and answer what waits and needs none."""
        self._answers = answers
        for each in self._taken():
            self._judge(each, answers)

    def _taken(self) -> list[WaitingRequest]:
        """Return what waits, and have it wait no more."""
        waiting, self._waiting = self._waiting, []
        return [each for each in waiting if each.waits()]

    def _judge(self, waiting: WaitingRequest, answers: Mapping[bytes, bytes]) -> None:
        request = waiting.request
        path = self._path(request)
        if request.websocket and can_be_held(path):
            self._accept(waiting, path, answers)
        elif request.websocket:
            waiting.fail(503)
        elif polled(request, path):
            known = answers.get(path)
            waiting.say(503 if known is None else 200, (_JSON, known or _UNKNOWN))
        else:
            self._waiting.append(waiting)
            self._act()

    def _accept(self, waiting: WaitingRequest, path: bytes, answers: Mapping[bytes, bytes]) -> None:
        """Open a websocket in the place of the server; but none to a kernel that is not there."""
        kernel = kernel_of(path)
        if kernel and b"/api/kernels/" + kernel not in answers:
            waiting.fail(404)
            return
        answer, protocol = accepted(waiting.request, kernel=bool(kernel))
        early = waiting.leave()
        waiting.transport.write(answer)
        again = Reopening(waiting.request, waiting.message, protocol)
        held = HeldSocket(self._core, self._backend, self, waiting.transport, again)
        self.sockets.add(held)
        if early:
            held.data_received(early)

    def _path(self, request: RequestHead) -> bytes:
        """Return the path of a request below the route, as it was sent; empty where that differs."""
        prefix = self._backend.route.prefix
        own = prefix[1:] if self._core.settings.forwarding.host_routing else prefix
        beginning, path = b"".join(b"/" + each for each in own), request.target.partition(b"?")[0]
        return path.removeprefix(beginning) if path.startswith(beginning + b"/") else b""

    def acted(self, now: float) -> None:
        """Take note that a visitor sent what its server is needed for, by a websocket."""
        self._backend.route.entered(now)
        self._act()

    def ping(self, now: float) -> None:
        """Send signs of life where they are due."""
        if self.holds and now - self._pinged >= PING_SECONDS:
            self._pinged = now
            for each in self.sockets:
                each.ping()

    def let_go(self) -> None:
        """Pass everything on: the server answers."""
        self.holds = False
        sockets, self.sockets = self.sockets, set()
        for waiting in self._taken():
            waiting.go_on()
        for held in sockets:
            held.reopen()

    def refuse(self, page: bytes) -> None:
        """Answer what waits with a page, and have pages connect again: the next act wakes the server."""
        for each in self._taken():
            each.say(503, (_HTML, page))
        for held in tuple(self.sockets):
            held.close()

    def close(self) -> None:
        """End it, for the route is gone: a page is led to what is there now."""
        for each in self._taken():
            if each.request.method in {b"GET", b"HEAD"} and shows_a_page(each.request):
                each.say(303, (b"Location: " + each.request.target + b"\r\n", b""))
        for held in tuple(self.sockets):
            held.close()


class RestingRoutes:
    """Has routes of a proxy rest; each is named by its path, and may be gone.

    Args:
        core: of the proxy.
    """

    def __init__(self, core: ProxyCore) -> None:
        self._core = core

    def prepare(self, path: str, act: Callable[[], None]) -> None:
        """Have a route note of its websockets, from now on, how they are opened again.

        Args:
            path: of the route.
            act: called when its visitor does what its server is needed for, while that sleeps.
        """
        backend = self._core.backends.table.get(prefix_segments(path))
        if backend is not None:
            backend.rest = Rest(self._core, backend, act)

    def hold(self, path: str) -> bool:
        """Hold what a visitor sends from now on; do nothing where that cannot be, and tell.

        It cannot where a request is under way, or where a websocket is open that another process
        of the server could not go on with.
        """
        rest = self._rest(path)
        return rest is not None and rest.hold()

    def slept(self, path: str, answers: Mapping[str, str]) -> None:
        """Take note that the server of a route that is held has ended.

        Args:
            path: of the route.
            answers: JSON by the path below the server's URL, for what pages ask for by themselves.
        """
        if (rest := self._rest(path)) is not None:
            rest.slept({below.encode(): body.encode() for below, body in answers.items()})

    def let_go(self, path: str) -> None:
        """Pass on what is held on a route: its server answers."""
        if (rest := self._rest(path)) is not None:
            rest.let_go()

    def refuse(self, path: str, page: str) -> None:
        """Answer requests that wait on a route with a page; it goes on to rest."""
        if (rest := self._rest(path)) is not None:
            rest.refuse(page.encode())

    def _rest(self, path: str) -> Rest | None:
        backend = self._core.backends.table.get(prefix_segments(path))
        return backend.rest if backend is not None and isinstance(backend.rest, Rest) else None
