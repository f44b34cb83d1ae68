"""What the options of ``moorage proxy`` say, for its own process and for its acceptors."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import ssl
import sys
from pathlib import Path

from moorage.errors import UsageError
from moorage.plan.proxying import Forwarding
from moorage.plan.targets import parse_target
from moorage.proxy.answers import read_pages
from moorage.proxy.settings import ProxySettings, custom_field
from moorage.proxy.tls import TlsFiles, listener_context, target_context

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


def settings_of(options: argparse.Namespace) -> ProxySettings:
    """Return the settings that a command line asks for.

    Raises:
        UsageError: some do not go together, or a value cannot be.
    """
    if options.error_target and options.error_path:
        raise UsageError("--error-target does not go with --error-path")
    forwarding = Forwarding(
        include_prefix=not options.no_include_prefix,
        prepend_path=not options.no_prepend_path,
        x_forward=not options.no_x_forward,
        change_origin=options.change_origin,
        auto_rewrite=options.auto_rewrite,
        protocol_rewrite=options.protocol_rewrite.encode(),
        host_routing=options.host_routing,
        custom=tuple(custom_field(text) for text in options.custom_header),
    )
    client = TlsFiles(options.client_ssl_key, options.client_ssl_cert, options.client_ssl_ca)
    return ProxySettings(
        forwarding=forwarding,
        error_target=parse_target(options.error_target) if options.error_target else None,
        pages=read_pages(Path(options.error_path)) if options.error_path else {},
        timeout=_seconds("--timeout", options.timeout),
        proxy_timeout=_seconds("--proxy-timeout", options.proxy_timeout),
        keep_alive=_seconds("--keep-alive-timeout", options.keep_alive_timeout) or ProxySettings.keep_alive,
        target_tls=target_context(client, insecure=options.insecure),
    )


def visitors_tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    """Return what encrypts the connections of visitors, None where they are not.

    Raises:
        ConfigurationError: a file cannot be used.
    """
    return listener_context(
        TlsFiles(
            options.ssl_key, options.ssl_cert, options.ssl_ca,
            passphrase=os.environ.get("CONFIGPROXY_SSL_KEY_PASSPHRASE", ""),
            ask=options.ssl_request_cert, demand=options.ssl_reject_unauthorized,
            ciphers=options.ssl_ciphers, dh_parameters=options.ssl_dhparam,
        )
    )  # fmt: skip


def api_tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    """Return what encrypts the connections of the REST API, None where they are not.

    Raises:
        ConfigurationError: a file cannot be used.
    """
    return listener_context(
        TlsFiles(
            options.api_ssl_key, options.api_ssl_cert, options.api_ssl_ca,
            passphrase=os.environ.get("CONFIGPROXY_API_SSL_KEY_PASSPHRASE", ""),
            ask=options.api_ssl_request_cert, demand=options.api_ssl_reject_unauthorized,
            ciphers=options.ssl_ciphers, dh_parameters=options.ssl_dhparam,
        )
    )  # fmt: skip


def _seconds(flag: str, milliseconds: int | None) -> float | None:
    if milliseconds is not None and milliseconds <= 0:
        raise UsageError(f"{flag} {milliseconds} cannot be", why="It must be milliseconds, more than 0")
    return None if milliseconds is None else milliseconds / 1000


def log_to_stderr(level: str, name: str = "") -> None:
    """Have log records of a level and above written to stderr.

    Args:
        level: debug, info, warn or error.
        name: of the process, put before its records.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"%(asctime)s [%(levelname)s] {name}%(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("moorage").setLevel(_LEVELS[level])


def keep_garbage_rare() -> None:
    """Have the garbage collector look seldom, and never at what is there now."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # 50,000 new objects are a few thousand connections
