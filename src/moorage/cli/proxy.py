"""``moorage proxy``: the proxy alone, with configurable-http-proxy's command line and REST API."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from moorage.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    import asyncio

    from moorage.cli.parser import Parser

_EPILOGUE = """\
CONFIGPROXY_AUTH_TOKEN is the token of the REST API, CONFIGPROXY_SSL_KEY_PASSPHRASE and
CONFIGPROXY_API_SSL_KEY_PASSPHRASE are those of the keys. SIGTERM and Ctrl-C end it.
Exit codes: 0 it was told to end; 1 it failed; 2 wrong usage, nothing was done.
"""
UNSUPPORTED = {
    "--storage-backend": "It names a class of JavaScript; routes are in memory, JupyterHub adds them again",
    "--ssl-protocol": "TLS 1.2 and newer are spoken",
    "--ssl-allow-rc4": "RC4 is broken, and OpenSSL has it no more",
}
"""Options of configurable-http-proxy that are refused, with the reason."""


def add_parser(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "proxy",
        help="a proxy for HTTP and websockets whose routes are changed while it runs",
        description="Sends requests and websockets to servers by the routes that its REST API is given; "
        "takes configurable-http-proxy's options.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_listeners(parser)
    _add_forwarding(parser)
    _add_tls(parser)
    for flag in UNSUPPORTED:
        parser.add_argument(flag, nargs="?", const="", dest=flag, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def _add_listeners(parser: Parser) -> None:
    add = parser.add_argument
    add("--ip", metavar="ADDRESS", help="where visitors come in; default: every interface")
    add("--port", type=int, metavar="N", help="default: 8000")
    add("--socket", metavar="PATH", help="a Unix socket in the place of --ip and --port")
    add("--api-ip", metavar="ADDRESS", help="of the REST API; default: localhost")
    add("--api-port", type=int, metavar="N", help="default: the port and one")
    add("--api-socket", metavar="PATH", help="a Unix socket in the place of --api-ip and --api-port")
    add("--metrics-ip", default="", metavar="ADDRESS", help="of /metrics; default: every interface")
    add("--metrics-port", type=int, metavar="N", help="default: no metrics")
    add(
        "--metrics-socket",
        metavar="PATH",
        help="a Unix socket in the place of --metrics-ip and --metrics-port",
    )
    add("--acceptors", type=int, default=1, metavar="N", help="how many processes take visitors; default: 1")
    add("--pid-file", metavar="FILE", help="gets the process id, and is removed at the end")
    add("--log-level", default="info", choices=["debug", "info", "warn", "error"], help="default: info")


def _add_forwarding(parser: Parser) -> None:
    add = parser.add_argument
    add("--default-target", metavar="URL", help="where requests without a route go")
    add("--error-target", metavar="URL", help="a server that has error pages, as /404?url=...")
    add("--error-path", metavar="FOLDER", help="error pages, as 404.html and error.html")
    add("--host-routing", action="store_true", help="the first segment of a route is a host")
    add("--no-include-prefix", action="store_true", help="leave the route's prefix out of the request")
    add("--no-prepend-path", action="store_true", help="do not put the target's path before the request's")
    add("--no-x-forward", action="store_true", help="add no X-Forwarded fields")
    add("--auto-rewrite", action="store_true", help="write the proxy's host into Location of redirects")
    add("--protocol-rewrite", default="", choices=["http", "https"], help="... and this protocol")
    add("--change-origin", action="store_true", help="write the target's host into Host")
    add("--custom-header", action="append", default=[], metavar="NAME:VALUE", help="add a field to requests")
    add("--timeout", type=int, metavar="MS", help="how long a visitor may be silent within a request")
    add("--proxy-timeout", type=int, metavar="MS", help="how long a server may take to begin its response")
    add("--keep-alive-timeout", type=int, metavar="MS", help="how long a visitor's connection is kept; 75000")


def _add_tls(parser: Parser) -> None:
    for prefix, about in (("", "of visitors"), ("api-", "of the REST API"), ("client-", "to servers")):
        add = parser.add_argument
        add(f"--{prefix}ssl-key", default="", metavar="FILE", help=f"key for connections {about}")
        add(f"--{prefix}ssl-cert", default="", metavar="FILE", help=f"certificate for connections {about}")
        add(f"--{prefix}ssl-ca", default="", metavar="FILE", help=f"authorities for connections {about}")
        unset = " (servers are always checked)" if prefix == "client-" else ""
        add(f"--{prefix}ssl-request-cert", action="store_true", help=f"ask for a certificate{unset}")
        add(
            f"--{prefix}ssl-reject-unauthorized",
            action="store_true",
            help=f"... and demand a good one{unset}",
        )
    add = parser.add_argument
    add("--redirect-port", type=int, metavar="N", help="a port on which HTTP is led to HTTPS")
    add("--redirect-to", type=int, metavar="N", help="the port of HTTPS that it is led to; default: --port")
    parser.add_argument("--ssl-ciphers", default="", metavar="LIST", help="in OpenSSL's notation")
    parser.add_argument("--ssl-dhparam", default="", metavar="FILE", help="Diffie-Hellman parameters")
    parser.add_argument("--insecure", action="store_true", help="believe servers without a good certificate")


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage proxy``."""
    import asyncio

    for flag, why in UNSUPPORTED.items():
        if getattr(options, flag) is not None:
            raise UsageError(f"{flag} is not supported", why=why)
    try:
        from moorage.cli.proxy_run import serve
    except ModuleNotFoundError as error:
        from moorage.installed import install_line

        what = f"moorage proxy needs {error.name}"
        raise MissingExtra(
            what, why="It is not installed here", do=f"Type: {install_line('proxy')}"
        ) from None
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(serve(options))


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's loop; None where it is not installed: asyncio's is several times slower."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ModuleNotFoundError):
        from uvloop import new_event_loop as factory
    return factory
