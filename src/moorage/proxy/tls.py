"""Encryption: of visitors' connections, of the interface, and towards servers."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from moorage.errors import ConfigurationError


@dataclass(frozen=True)
class TlsFiles:
    """What encrypts one listener, or proves the identity of the proxy to servers.

    Args:
        key: file with the private key; "" when the certificate's file has it.
        certificate: file with the certificate; "" for none.
        authority: file with the authorities that the other side is checked against; "" for the system's.
        passphrase: of the key.
        ciphers: in OpenSSL's notation; "" for OpenSSL's own choice.
        dh_parameters: file with Diffie-Hellman parameters, or "".
        ask: whether visitors are asked for a certificate.
        demand: whether those without a good one are refused.
    """

    key: str = ""
    certificate: str = ""
    authority: str = ""
    passphrase: str = ""
    ciphers: str = ""
    dh_parameters: str = ""
    ask: bool = False
    demand: bool = False


def listener_context(files: TlsFiles) -> ssl.SSLContext | None:
    """Return what encrypts a listener; None when there is neither key nor certificate.

    Raises:
        ConfigurationError: a file cannot be read, or its content is not what it should be.
    """
    if not (files.key or files.certificate):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, files)
    if files.ask:
        context.verify_mode = ssl.CERT_REQUIRED if files.demand else ssl.CERT_OPTIONAL
    return context


def target_context(files: TlsFiles, *, insecure: bool) -> ssl.SSLContext:
    """Return what encrypts connections to servers.

    Args:
        files: the proxy's own certificate and the authorities of servers.
        insecure: whether any server is believed.

    Raises:
        ConfigurationError: a file cannot be read, or its content is not what it should be.
    """
    context = ssl.create_default_context()
    _load(context, files)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    # Without a passphrase OpenSSL would ask for one on the terminal.
    passphrase = files.passphrase
    named = ", ".join(name for name in (files.certificate, files.key, files.authority) if name)
    try:
        if files.certificate:
            context.load_cert_chain(files.certificate, files.key or None, lambda: passphrase)
        if files.authority:
            context.load_verify_locations(files.authority)
        if files.ciphers:
            context.set_ciphers(files.ciphers)
        if files.dh_parameters:
            context.load_dh_params(files.dh_parameters)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"the TLS files {named} cannot be used", why=str(why)) from None
