"""Which routes of another program's proxy have to be added and deleted there, by what it has. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec


class FoundRoute(msgspec.Struct, frozen=True):
    """A route that such a proxy has.

    Attributes:
        target: where it leads.
        owner: of the service that added it; empty where another program did, or the proxy does not keep it.
    """

    target: str
    owner: str = ""


class Repairs(msgspec.Struct, frozen=True):
    """What is to be done.

    Attributes:
        add: paths whose route is missing, or leads elsewhere.
        delete: paths of routes that are left of this service.
        taken: paths whose route belongs to another program, with where it leads.
    """

    add: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    taken: Mapping[str, str] = {}


def repairs(wanted: Collection[str], target: str, found: Mapping[str, FoundRoute], owner: str) -> Repairs:
    """Return what makes a proxy have all routes of a service, and none that it had before.

    Args:
        wanted: paths that routes are wanted for.
        target: where all of them lead.
        found: what the proxy has, by path.
        owner: of the routes of this service; those of others are not touched.
    """
    known = {plain(path): route for path, route in found.items()}
    paths = {plain(path): None for path in wanted}
    add, taken = [], {}
    for path in paths:
        route = known.get(path)
        if route is not None and _same(route.target, target):
            continue
        if route is None or route.owner == owner:
            add.append(path)
        else:
            taken[path] = route.target
    left = (path for path, route in known.items() if route.owner == owner and path not in paths)
    return Repairs(tuple(add), tuple(left), taken)


def plain(path: str) -> str:
    """Return the path of a route in the one way in which it is compared: without a slash at its end."""
    return "/" + path.strip("/")


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
