"""How a running ``moorage temp`` is shown: some sentences, and a table of its servers."""

from __future__ import annotations

from collections.abc import Sequence

from moorage.cli.table import BOLD, DIM, GREEN, YELLOW, Column, Screen, lines
from moorage.notebooks.show.figures import clock, counted, duration, size
from moorage.plan.visits import Shortage
from moorage.wire.temp_admin import ServerInfo, Stats

_WIDE = 100
"""Columns of a terminal from which on all is shown."""
DRAINED = "No new visitors are let in. They are again after: moorage temp drain --undo"


def shown(stats: Stats, servers: Sequence[ServerInfo], screen: Screen) -> list[str]:
    """Return the lines that say how things stand.

    Args:
        stats: of the service.
        servers: that have not ended.
        screen: where the lines go; none is wider.
    """
    result = [
        screen.styled(line, BOLD if not number else "")
        for number, text in enumerate(_sentences(stats))
        for line in screen.wrapped(text).splitlines()
    ]
    if not_enough(stats):
        result += [screen.styled(line, YELLOW) for line in screen.wrapped(not_enough(stats)).splitlines()]
    if stats.draining:
        result += [screen.styled(line, YELLOW) for line in screen.wrapped(DRAINED).splitlines()]
    return [*result, "", *_table(servers, screen)] if servers else result


def not_enough(stats: Stats) -> str:
    """Return what is said where not all servers fit that there may be; empty where they do."""
    if stats.fit >= stats.capacity:
        return ""
    fit = f"{stats.fit} of the {counted(stats.capacity, 'server')} that there may be"
    shortage = Shortage(stats.shortage)
    what = "Memory is" if shortage is Shortage.MEMORY else "Descriptors are"
    return f"{what} enough for {fit}: {shortage.remedy}"


def one_line(stats: Stats) -> str:
    """Return how things stand in one line, for a log."""
    spares = stats.spares
    parts = [
        f"visitors {stats.visitors}",
        f"queue {stats.queue}",
        f"servers {stats.servers.running} of {stats.capacity}",
        f"spares {spares.ready} of {spares.wanted}",
        f"failed {stats.counts.failed}",
        f"descriptors {stats.descriptors.open} of {stats.descriptors.limit}",
    ]
    if stats.memory is not None:
        parts.append(f"memory {size(stats.memory)}")
    return ", ".join(parts) + (", no new visitors are let in" if stats.draining else "")


def _sentences(stats: Stats) -> list[str]:
    counts, descriptors, servers, spares = stats.counts, stats.descriptors, stats.servers, stats.spares
    have = "has" if stats.visitors == 1 else "have"
    memory = "" if stats.memory is None else f", {size(stats.memory)} of memory"
    starts = counted(counts.started + counts.spares_started, "start")
    sockets = (
        f"{descriptors.visitors} of visitors, {descriptors.servers} to servers, {descriptors.unused} unused, "
        f"{counted(descriptors.websockets, 'websocket')}"
    )
    ready = f"{spares.ready} of {counted(spares.wanted, 'spare')} ready"
    under_way = f"{servers.starting} starting, {servers.ending} ending"
    under_way += f", {servers.asleep} asleep" if servers.asleep else ""
    under_way += f", {servers.braked} braked" if servers.braked else ""
    running = f"{servers.running} of {counted(stats.capacity, 'server')}"
    ends = f"{counts.handed_out} handed out, {counts.ended} ended"
    said = [
        f"{counted(stats.visitors, 'visitor')} {have} a server, {stats.queue} in the queue",
        f"{running} ({under_way}), {ready}{memory}",
        f"{descriptors.open} of {counted(descriptors.limit, 'descriptor')}: {sockets}",
        f"In {duration(stats.uptime)}: {starts}, {counts.failed} failed, {counts.adopted} adopted, {ends}",
    ]
    if stats.sleepless:
        of_them = f"{counted(stats.sleepless, 'server')} will not sleep"
        said.append(f"{of_them}: a template failed, so that they were spawned; the log says why")
    return said


def _table(servers: Sequence[ServerInfo], screen: Screen) -> list[str]:
    wide = screen.width is None or screen.width >= _WIDE
    killed = any(map(_kills, servers))
    offers = any(each.offer for each in servers)
    addresses = any(each.address for each in servers) and (wide or not killed)
    cpus = wide and any(map(_cpus, servers))
    network = wide and any(each.egress is not None for each in servers)
    columns = [Column("SERVER"), Column("STATE")]
    columns += [Column("OFFER", 8)] if offers else []
    columns += [Column("ADDRESS", 8)] if addresses else []
    columns += [Column("AGE"), Column("UNUSED"), Column("ENDS IN"), Column("MEMORY")]
    columns += [Column("CPUS")] if cpus else []
    columns += [Column("KILLED")] if killed else []
    columns += [Column("NETWORK")] if network else []
    rows, styles = [], []
    for each in servers:
        row = [each.id, _state(each)]
        row += [each.offer or "-"] if offers else []
        row += [each.address or "-"] if addresses else []
        row += [_time(each.age), _time(each.unused), _time(each.left), _memory(each)]
        row += [_cpus(each) or "-"] if cpus else []
        row += [str(_kills(each) or "-")] if killed else []
        row += [_network(each)] if network else []
        dim = each.spare or each.state in {"ending", "asleep"}
        colour = DIM if dim else GREEN if each.state == "ready" and not _brake(each) else YELLOW
        rows.append(row)
        styles.append(["", colour, *[""] * (len(row) - 3), YELLOW if _kills(each) else ""])
    return lines(columns, rows, screen, styles)


def _memory(server: ServerInfo) -> str:
    """Return what a server takes: of its limit, where it has one, as that counts it."""
    limits, used = server.limits, server.used
    if limits is not None and limits.memory and used is not None and used.memory is not None:
        whole, taken = size(limits.memory), size(used.memory)
        return f"{taken.removesuffix(whole[-4:])}/{whole}"
    return "-" if server.memory is None else size(server.memory)


def _cpus(server: ServerInfo) -> str:
    """Return how much processors' time a server may have; empty where that is not bounded."""
    return f"{server.limits.cpus:g}" if server.limits is not None and server.limits.cpus else ""


def _kills(server: ServerInfo) -> int:
    """Return how many processes of a server its limit of memory has ended."""
    return 0 if server.used is None else server.used.kills or 0


def _network(server: ServerInfo) -> str:
    """Return how much a server has sent to hosts and received, and what it was refused."""
    use = server.egress
    if use is None:
        return "-"
    return size(use.sent + use.received) + (f", {use.refused} refused" if use.refused else "")


def _state(server: ServerInfo) -> str:
    if not server.spare:
        return server.state + _brake(server)
    return "spare" if server.state == "ready" else f"spare, {server.state}"


def _brake(server: ServerInfo) -> str:
    """Return what its state is followed by where its share of the processors is lowered."""
    brake = server.brake
    if brake is None or brake.state == "full":
        return ""
    return ", braked" if brake.state == "lowered" else ", braked and asked"


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else clock(seconds)
