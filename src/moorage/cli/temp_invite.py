"""``moorage temp invite`` and ``invites``: their options."""

from __future__ import annotations

from collections.abc import Callable

from moorage.cli.parser import Parser


def add_parsers(add_action: Callable[[str, str], Parser]) -> None:
    """Add both.

    Args:
        add_action: adds an action with what is said of it, which finds a running service.
    """
    invite = add_action("invite", "print a link that lets a number of visitors in for some hours")
    add = invite.add_argument
    add("--offer", default="", metavar="NAME", help="what it is for; needed where there are several")
    add("--seats", type=int, required=True, metavar="N", help="how many browsers it lets in")
    add("--hours", type=float, default=24.0, metavar="H", help="until it expires; default: 24")
    add("--to", default="", metavar="PATH", help="what opens in the server, as lab/tree/first.ipynb")
    add("--url", default="", metavar="ORIGIN", help="by which visitors come, as https://course.example.org")
    invites = add_action("invites", "list the invitations of a running one, or withdraw some")
    invites.add_argument("--withdraw", nargs="+", default=[], metavar="ID", help="they let in no one more")
    invites.add_argument("--json", action="store_true", help="one JSON document on stdout")
