"""Cookies and forms that only this service can have made: signed with a key of its state directory.

A visitor has two cookies. One says which visitor comes back, on all pages of the service. The other opens the
visitor's server, and goes to its URLs alone.

Where servers have hosts of their own, the first one stays with the host of the pages, and the second one
comes by a ticket (:mod:`moorage.temp.tickets`).
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from moorage.errors import OutputError
from moorage.plan.visits import ServerId, VisitorId
from moorage.temp.signing import CookieSigner

KEY_BYTES = 32
NO_LINKS: int = getattr(os, "O_NOFOLLOW", 0)
"""Opens no symbolic link, where the system has that."""
WITHHELD = b"moorage-"
"""How the names of all cookies of the service begin; servers do not get them."""
INVITATION_SIGNATURE = 32
"""Hexadecimal digits of a link's signature, 128 bits: links are shown to a class, and typed at times."""


class Identity:
    """Signs and checks.

    Args:
        key: at least 32 random bytes, known to this service alone: with it a program can be any visitor.
        by_host: whether servers have hosts of their own.
    """

    def __init__(self, key: bytes, *, by_host: bool = False) -> None:
        self.signer = CookieSigner(key, by_host=by_host)
        self._visitor_cookie = self.signer.named("visitor")
        self._server_cookie = self.signer.named("server")

    def new_visitor(self) -> VisitorId:
        """Return a name for a new visitor."""
        return VisitorId(secrets.token_urlsafe(16))

    def new_server(self) -> ServerId:
        """Return a name for a new server."""
        return ServerId(secrets.token_hex(8))

    def visitors(self, cookies: str, *, secure: bool = False) -> list[VisitorId]:
        """Return which visitors the Cookie field of a request names, sorted; those of this service alone.

        A browser is two where two of its tabs came at the same instant for the first time: neither had a
        cookie to send, and both got one.
        """
        values = [
            each.partition(".") for each in self.signer.values(cookies, self._visitor_cookie, secure=secure)
        ]
        return sorted(
            VisitorId(name)
            for name, _, signature in values
            if hmac.compare_digest(signature.encode(), self.signer.sign("visitor", name).encode())
        )

    def opened(self, cookies: str, server: ServerId, *, secure: bool) -> VisitorId | None:
        """Return the visitor whose cookie for a server is in the Cookie field of a request; None for none."""
        for value in self.signer.values(cookies, self._server_cookie, secure=secure):
            visitor = VisitorId(value.partition(".")[0])
            _, _, right = self.server_cookie(server, visitor).partition("=")
            if hmac.compare_digest(value.encode(), right.encode()):
                return visitor
        return None

    def visitor_field(self, visitor: VisitorId, *, secure: bool) -> str:
        """Return the Set-Cookie field by which a visitor is known again.

        Args:
            visitor: its name.
            secure: whether it comes by HTTPS.
        """
        signature = self.signer.sign("visitor", visitor)
        # One name for each, so that none takes the place of another.
        return self.signer.field(
            f"{self._visitor_cookie}-{signature[:8]}", f"{visitor}.{signature}", "/", secure=secure
        )

    def server_cookie(self, server: ServerId, visitor: VisitorId) -> str:
        """Return the cookie that opens a server, as ``NAME=VALUE``."""
        return f"{self._server_cookie}={visitor}.{self.signer.sign('server', f'{server} {visitor}')}"

    def server_field(self, server: ServerId, visitor: VisitorId, path: str, *, secure: bool) -> str:
        """Return the Set-Cookie field that opens a server.

        Args:
            server: its name.
            visitor: that it belongs to.
            path: of the server's URLs.
            secure: whether the visitor comes by HTTPS.
        """
        name, _, value = self.server_cookie(server, visitor).partition("=")
        return self.signer.field(name, value, path, secure=secure)

    def form_token(self, visitor: VisitorId) -> str:
        """Return what a form of this visitor's pages carries, so that no other site's form is taken."""
        return self.signer.sign("form", visitor)

    def is_form_token(self, token: str, visitor: VisitorId) -> bool:
        """Tell whether a form was made for a visitor."""
        return hmac.compare_digest(token.encode(), self.form_token(visitor).encode())

    def invitation_signature(self, said: str) -> str:
        """Return the signature of what the link of an invitation says."""
        return self.signer.sign("invitation", said)[:INVITATION_SIGNATURE]

    def is_invitation(self, said: str, signature: str) -> bool:
        """Tell whether this service has signed what a link says."""
        good = self.invitation_signature(said).encode()
        return hmac.compare_digest(signature.encode("utf-8", "replace"), good)


def read_key(path: Path) -> bytes:
    """Return the key of a file, which is made (0600) where there is none.

    Raises:
        OutputError: it cannot be read or written, or holds something else.
    """
    try:
        try:
            descriptor = os.open(path, os.O_RDONLY | NO_LINKS)
        except FileNotFoundError:
            key = secrets.token_bytes(KEY_BYTES)
            unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            write_private(unfinished, key)
            unfinished.rename(path)
            return key
        with os.fdopen(descriptor, "rb") as file:
            key = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise OutputError(f"the key {path} cannot be read", why=error.strerror or str(error)) from None
    if len(key) != KEY_BYTES:
        raise OutputError(
            f"{path} holds no key", do="Delete it, and a new one is made: visitors are strangers then"
        )
    return key


def write_private(path: Path, data: bytes) -> None:
    """Write a new file (0600).

    Raises:
        OSError: it cannot be written, or is there.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
