"""What ``moorage proxy`` does with its options: settings, listeners, an end that leaves nothing behind."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Self

import msgspec
from aiohttp import web

from moorage.cli.complaints import OK
from moorage.cli.ending import told_to_end
from moorage.cli.proxy_settings import api_tls, keep_garbage_rare, log_to_stderr, settings_of, visitors_tls
from moorage.errors import OutputError, UsageError
from moorage.proxy.answers import HTTPS_PORT
from moorage.proxy.api import MetricsPage, RoutesApi
from moorage.proxy.backends import OtherProcesses
from moorage.proxy.core import ProxyCore
from moorage.proxy.listening import BACKLOG, UNIX, bind, bind_unix, remove_socket_file
from moorage.proxy.metrics import render, report_of
from moorage.proxy.server import Proxy, open_proxy
from moorage.wire.acceptor_messages import Listener

log = logging.getLogger("moorage.proxy")


async def serve(options: argparse.Namespace) -> int:
    """Run a proxy until SIGTERM or SIGINT.

    Args:
        options: of the command line.

    Returns:
        The exit code.

    Raises:
        UsageError: an address is taken, or options do not go together.
    """
    log_to_stderr(options.log_level)
    settings = settings_of(options)
    token = os.environ.get("CONFIGPROXY_AUTH_TOKEN", "")
    if options.acceptors < 1:
        raise UsageError(f"--acceptors {options.acceptors} cannot be", why="It must be 1 or more")
    with _Listeners(options) as listeners:
        async with AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(open_proxy(settings))
            if options.default_target:
                proxy.add_route("/", options.default_target)
            acceptors: OtherProcesses | None = None
            if options.acceptors > 1:
                acceptors = await stack.enter_async_context(_acceptors(options, proxy, listeners))
            else:
                for bound in listeners.visitors:
                    await proxy.listen(bound, listeners.tls)
                for bound in listeners.redirecting:
                    await proxy.listen(bound, redirect_to=listeners.redirect_to)
            api = RoutesApi(proxy.core, token, acceptors).application()
            await stack.enter_async_context(_site(api, listeners.api, listeners.api_tls))
            if listeners.metrics:
                page = MetricsPage(partial(_metrics, proxy.core, acceptors)).application()
                await stack.enter_async_context(_site(page, listeners.metrics, None))
            stack.enter_context(_pid_file(options.pid_file))
            stack.callback(listeners.remove_files)  # while they listen: no other program has taken them over
            keep_garbage_rare()
            await told_to_end(lambda: _announce(listeners, options.default_target, open_api=not token))
            log.warning("Ending")
    return OK


def _acceptors(
    options: argparse.Namespace, proxy: Proxy, listeners: _Listeners
) -> AbstractAsyncContextManager[OtherProcesses]:
    """Run the processes that take visitors, with the options of this one."""
    if sys.platform == "win32":
        raise UsageError("--acceptors does not work on Windows", why="Processes cannot share a port there")
    else:  # noqa: RET506 - without it mypy looks for what is not there on Windows
        from moorage.proxy.acceptors import open_acceptors

        tls, to = listeners.tls is not None, listeners.redirect_to
        shared = [Listener(bound.fileno(), tls) for bound in listeners.visitors]
        shared += [Listener(bound.fileno(), redirect_to=to) for bound in listeners.redirecting]
        given = {name: value for name, value in vars(options).items() if name != "run"}
        words = msgspec.json.encode(given).decode()
        argv = [sys.executable, "-P", "-m", "moorage.cli.proxy_acceptor", words]
        env = {name: value for name, value in os.environ.items() if name != "CONFIGPROXY_AUTH_TOKEN"}
        return open_acceptors(proxy.core, argv, env, shared, options.acceptors)


async def _metrics(core: ProxyCore, acceptors: OtherProcesses | None) -> str:
    report = report_of(core) if acceptors is None else await acceptors.report()
    return render(report, len(core.backends.table))


class _Listeners:
    """The sockets and contexts of all listeners; what is bound is closed at the end of the block."""

    def __init__(self, options: argparse.Namespace) -> None:
        if options.socket and (options.ip is not None or options.port is not None):
            raise UsageError("--socket does not go with --ip and --port")
        if options.api_socket and (options.api_ip is not None or options.api_port is not None):
            raise UsageError("--api-socket does not go with --api-ip and --api-port")
        if options.redirect_port is None and options.redirect_to is not None:
            raise UsageError("--redirect-to goes with --redirect-port")
        if options.redirect_port is not None and not options.ssl_key:
            raise UsageError("--redirect-port needs --ssl-key and --ssl-cert", why="It leads to HTTPS")
        if options.redirect_to is not None and not 0 < options.redirect_to < 65536:
            raise UsageError(f"--redirect-to {options.redirect_to} cannot be", why="It must be a port")
        self.tls = visitors_tls(options)
        self.api_tls = api_tls(options)
        self.visitors: list[socket.socket] = []
        self.redirecting: list[socket.socket] = []
        self.api: list[socket.socket] = []
        self.metrics: list[socket.socket] = []
        self._files: list[str] = []
        self._options = options

    def __enter__(self) -> Self:
        options = self._options
        port = 8000 if options.port is None else options.port
        api_port = options.api_port if options.api_port is not None else (port + 1 if port else 0)
        try:
            self.visitors = self._bound(options.socket, options.ip or "", port)
            if options.redirect_port is not None:
                self.redirecting = bind(options.ip or "", options.redirect_port)
            self.api = self._bound(options.api_socket, options.api_ip or "localhost", api_port)
            if options.metrics_socket or options.metrics_port is not None:
                self.metrics = self._bound(
                    options.metrics_socket, options.metrics_ip, options.metrics_port or 0
                )
        except BaseException:
            self._close()
            raise
        return self

    def _bound(self, path: str | None, host: str, port: int) -> list[socket.socket]:
        if not path:
            return bind(host, port)
        bound = [bind_unix(path)]
        self._files.append(path)
        return bound

    @property
    def redirect_to(self) -> int:
        """The port for HTTPS that requests for HTTP are led to."""
        given: int | None = self._options.redirect_to
        named = self.visitors[0].getsockname()
        return given or (HTTPS_PORT if isinstance(named, str) else int(named[1]))

    def remove_files(self) -> None:
        """Remove the files of Unix sockets."""
        while self._files:
            remove_socket_file(self._files.pop())

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self.remove_files()
        for bound in (*self.visitors, *self.redirecting, *self.api, *self.metrics):
            bound.close()


@asynccontextmanager
async def _site(
    application: web.Application, sockets: list[socket.socket], tls: ssl.SSLContext | None
) -> AsyncIterator[None]:
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        for bound in sockets:
            await web.SockSite(runner, bound, ssl_context=tls, backlog=BACKLOG).start()
        yield
    finally:
        await runner.cleanup()


@contextmanager
def _pid_file(path: str | None) -> Iterator[None]:
    if path is None:
        yield
        return
    try:
        Path(path).write_text(str(os.getpid()))
    except OSError as error:
        raise OutputError(f"cannot write {path}", why=error.strerror or str(error)) from None
    try:
        yield
    finally:
        Path(path).unlink(missing_ok=True)


def _announce(listeners: _Listeners, target: str | None, *, open_api: bool) -> None:
    for bound in listeners.visitors:
        log.info("Proxying %s to %s", _shown(bound, listeners.tls), target or "(no default)")
    for bound in listeners.redirecting:
        log.info("Redirecting %s to HTTPS at port %d", _shown(bound, None), listeners.redirect_to)
    for bound in listeners.api:
        log.info("Proxy API at %s/api/routes", _shown(bound, listeners.api_tls))
    for bound in listeners.metrics:
        log.info("Metrics at %s/metrics", _shown(bound, None))
    if open_api:
        log.warning("The REST API asks for no token: set CONFIGPROXY_AUTH_TOKEN")


def _shown(bound: socket.socket, tls: ssl.SSLContext | None) -> str:
    name = bound.getsockname()
    if bound.family == UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if bound.family == socket.AF_INET6 else name[0]
    return f"{'https' if tls else 'http'}://{host}:{name[1]}"
