"""What ``moorage temp invite`` and ``invites`` do: they ask the service that runs."""
# ruff: noqa: E402 - Python has no Unix sockets on Windows

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

import msgspec

assert sys.platform != "win32", "Python has no Unix sockets there"

from moorage.cli.stdio import json_text
from moorage.cli.table import DIM, GREEN, YELLOW, Column, Screen, lines
from moorage.errors import UsageError
from moorage.notebooks.show.figures import counted, duration
from moorage.temp.admin_client import AdminClient
from moorage.temp.state import state_path
from moorage.version import __version__
from moorage.wire.temp_admin import InvitationInfo, NewInvitation

HOUR = 3600.0
_COLOURS = {"open": GREEN, "used up": YELLOW}


def run_invite(options: argparse.Namespace) -> int:
    """Carry out ``moorage temp invite``."""
    origin = checked_url(options.url)
    client = AdminClient(state_path(options.state, options.port))
    made = client.invite(NewInvitation(options.seats, options.hours * HOUR, options.offer))
    to = quote(options.to.lstrip("/"), safe="/?=&%")
    print((origin + made.path if origin else made.link) + (f"/{to}" if to else ""))
    until = time.strftime("%a %H:%M", time.localtime(time.time() + made.left))
    what = f" to {made.offer}" if made.offer else ""
    print(
        f"It lets {counted(made.seats, 'browser')} in{what}, until {until}. Its ID: {made.id}",
        file=sys.stderr,
    )
    for note in notes(made, origin):
        print(note, file=sys.stderr)
    return 0


def notes(made: InvitationInfo, origin: str) -> list[str]:
    """Return what is to be said of an invitation beside its link, in sentences.

    Args:
        made: the invitation.
        origin: by which visitors come, as far as the command line says it.
    """
    said = []
    if made.behind and not origin:
        said.append("The link has the address behind the proxy: say --url ORIGIN, by which visitors come")
    if not made.needed:
        said.append("Visitors come in without it, too, unless moorage temp is told --invited-only")
    return said


def checked_url(text: str) -> str:
    """Return an origin without a slash at its end; empty for none.

    Raises:
        UsageError: it is none.
    """
    parts = urlsplit(text)
    if text and (parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment):
        raise UsageError(f"--url {text} cannot be", why="It is written https://HOST, with a port or none")
    return text.rstrip("/")


def run_invites(options: argparse.Namespace) -> int:
    """Carry out ``moorage temp invites``."""
    client = AdminClient(state_path(options.state, options.port))
    found = client.invitations()
    for each in [invitation_named(word, found) for word in options.withdraw]:
        client.withdraw(each)
        if not options.json:
            print(f"Invitation {each} is withdrawn: it lets no further visitor in, and ends no server")
    if options.json:
        document = {"moorage": __version__, "invitations": client.invitations()}
        print(json_text(msgspec.to_builtins(document)))
    elif not options.withdraw:
        print("\n".join(listed(found, Screen.of(sys.stdout))))
    return 0


def invitation_named(word: str, invitations: Sequence[InvitationInfo]) -> str:
    """Return the ID of the invitation that a word names, whole or by its beginning.

    Raises:
        UsageError: there is none, or more than one.
    """
    found = [each.id for each in invitations if word and each.id.startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{word} names {len(found)} invitations", why=" and ".join(found), do="Type more of it"
        )
    raise UsageError(f"there is no invitation {word}", do="See them with: moorage temp invites")


def listed(invitations: Sequence[InvitationInfo], screen: Screen) -> list[str]:
    """Return the lines of a list of invitations.

    Args:
        invitations: that are kept.
        screen: where the lines go; in a pipe nothing is cut.
    """
    if not invitations:
        return ["There are no invitations. Make one with: moorage temp invite --seats N"]
    columns = [Column("ID"), Column("STATE"), Column("OFFER", 8), Column("SEATS"), Column("LEFT")]
    columns.append(Column("LINK", 16))
    rows, styles = [], []
    for each in invitations:
        seats = f"{each.taken} of {each.seats}"
        left = duration(each.left) if each.left else "-"
        rows.append([each.id, each.state, each.offer or "-", seats, left, each.link])
        styles.append(["", _COLOURS.get(each.state, DIM), *[""] * 4])
    return lines(columns, rows, screen, styles)
