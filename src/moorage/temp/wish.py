"""What a visitor wants: an offer, and a path in its server, as links and forms say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from moorage.plan.visits import UNNAMED, OfferName

_QUERY = re.compile(r"[!-~]*")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True)
class Wish:
    """One wish.

    Args:
        to: path and query below a server's URL, as they stand in a URL; empty for what opens first.
        offer: that is chosen; :data:`~moorage.plan.visits.UNNAMED` for none.
        invitation: the signed part of the link that invites to it, unchecked; empty for none.
    """

    to: str = ""
    offer: OfferName = UNNAMED
    invitation: str = ""

    @property
    def link(self) -> str:
        """Path of the page with the button for it."""
        if self.invitation:
            path = f"/{self.to}" if self.to else ""
            return f"/invitation/{quote(self.invitation, safe='')}{path}"
        if self.offer:
            return f"/offer/{quote(self.offer, safe='')}/{self.to}"
        return f"/spawn/{self.to}" if self.to else "/"

    @property
    def query(self) -> str:
        """The wish as the query of a URL."""
        chosen = f"&offer={quote(self.offer, safe='')}" if self.offer else ""
        invited = f"&invitation={quote(self.invitation, safe='')}" if self.invitation else ""
        return f"to={quote(self.to)}{chosen}{invited}"

    @property
    def file(self) -> str:
        """Name of the file that is to open; empty for what opens first."""
        return unquote(self.to.partition("?")[0]).rstrip("/").rpartition("/")[2]


def link_wish(raw: str) -> Wish:
    """Return what a link asks for.

    Args:
        raw: path and query as they came: ``/``, ``/spawn/PATH``, ``/spawn/PATH?offer=NAME``,
            ``/offer/NAME/PATH`` or ``/invitation/SIGNED/PATH``. What else is in the query is for the server.
    """
    kind, _, rest = raw.removeprefix("/").partition("/")
    if kind in {"offer", "invitation"}:
        head, question, query = rest.partition("?")
        name, _, path = head.partition("/")
        to = wanted_path(path + question + query)
        return Wish(to, OfferName(unquote(name))) if kind == "offer" else Wish(to, invitation=unquote(name))
    path, _, query = raw.removeprefix("/spawn").partition("?")
    words = query.split("&")
    named = [word.removeprefix("offer=") for word in words if word.startswith("offer=")]
    rest = "&".join(word for word in words if not word.startswith("offer="))
    offer = OfferName(unquote(named[-1])) if named else UNNAMED
    return Wish(wanted_path(f"{path}?{rest}" if rest else path), offer)


def form_wish(fields: Mapping[str, object]) -> Wish:
    """Return what the fields ``to``, ``offer`` and ``invitation`` of a form or a query ask for."""
    offer, invitation = (str(fields.get(name, "")) for name in ("offer", "invitation"))
    return Wish(wanted_path(str(fields.get("to", ""))), OfferName(offer), invitation)


def wanted_path(text: str) -> str:
    """Return what a visitor wants opened, as it stands in a URL; empty where it is no path within a server.

    Args:
        text: path and query, as they stand in a URL.
    """
    path, question, query = text.partition("?")
    plain = unquote(path).lstrip("/")
    if not plain or _UNSAFE.search(plain) or not _QUERY.fullmatch(query) or ".." in plain.split("/"):
        return ""
    return quote(plain) + question + query
