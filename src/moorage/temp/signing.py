"""Signatures of one service, and the names of its cookies."""

from __future__ import annotations

import hashlib
import hmac

from moorage.plan.admission import HOST_ONLY

COOKIE_SECONDS = 30 * 24 * 3600


class CookieSigner:
    """Signs, and writes and reads the fields of cookies.

    Args:
        key: at least 32 random bytes, known to this service alone.
        by_host: whether servers have hosts of their own, whose pages may set cookies for the hosts above. By
            HTTPS names of cookies then say that no other host has set them.
    """

    def __init__(self, key: bytes, *, by_host: bool) -> None:
        self._key = key
        self._by_host = by_host

    def named(self, purpose: str) -> str:
        """Return the name of a cookie."""
        # Cookies do not tell ports apart: a second service of the same host has names of its own.
        return f"moorage-{purpose}-{hashlib.sha256(b'name' + self._key).hexdigest()[:8]}"

    def sign(self, purpose: str, text: str) -> str:
        """Return the signature of a text, for one purpose."""
        return hmac.new(self._key, f"{purpose} {text}".encode(errors="replace"), hashlib.sha256).hexdigest()

    def field(self, name: str, value: str, path: str, *, secure: bool, seconds: int = COOKIE_SECONDS) -> str:
        """Return a Set-Cookie field.

        Args:
            name: of the cookie.
            value: of it.
            path: that it goes to, with all below.
            secure: whether the visitor comes by HTTPS.
            seconds: so long it is kept; 0 to drop it.
        """
        end = "; Secure" if secure else ""
        named = HOST_ONLY + name if self._by_host and secure else name
        return f"{named}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{end}"

    def values(self, cookies: str, beginning: str, *, secure: bool) -> list[str]:
        """Return the values of cookies whose name begins so, of those that this service can have set.

        What other hosts have set, and what is no cookie, is passed over.

        Args:
            cookies: the Cookie field of a request.
            beginning: of the name.
            secure: whether the visitor comes by HTTPS.
        """
        wanted = HOST_ONLY + beginning if self._by_host and secure else beginning
        # Blanks as RFC 6265 has them: to a browser `\u2000__Host-a` has no prefix, and any host may set it.
        pairs = [pair.strip(" \t").partition("=") for pair in cookies.split(";")]
        return [value for name, _, value in pairs if name.startswith(wanted) and value.isascii()]
