"""What a service of temporary servers tells Prometheus, beside what its proxy tells."""

from __future__ import annotations

from moorage.proxy.exposition import family, single
from moorage.wire.temp_admin import Stats


def render(stats: Stats) -> str:
    """Return the metrics of a service in Prometheus' text format, with the prefix ``moorage_temp_``.

    Args:
        stats: how things stand.
    """
    spares, all_servers, counts = stats.spares, stats.servers, stats.counts
    servers = [
        ((("state", "starting"), ("kind", "visitor")), all_servers.starting - spares.starting),
        ((("state", "ready"), ("kind", "visitor")), all_servers.ready - spares.ready),
        ((("state", "starting"), ("kind", "spare")), spares.starting),
        ((("state", "ready"), ("kind", "spare")), spares.ready),
        ((("state", "ending"), ("kind", "any")), all_servers.ending),
    ]
    started = [
        ((("kind", "visitor"),), counts.started),
        ((("kind", "spare"),), counts.spares_started),
        ((("kind", "adopted"),), counts.adopted),
    ]
    parts = [
        family("moorage_temp_servers", "gauge", "Servers that have not ended", servers),
        family("moorage_temp_started_total", "counter", "Servers that were started, or adopted", started),
        single("moorage_temp_handed_out_total", "counter", "Spares given to a visitor", counts.handed_out),
        single("moorage_temp_failed_total", "counter", "Servers that never answered", counts.failed),
        single("moorage_temp_ended_total", "counter", "Servers that ended otherwise", counts.ended),
        single("moorage_temp_capacity", "gauge", "How many servers there may be at once", stats.capacity),
        single("moorage_temp_fit", "gauge", "For how many servers there is room", stats.fit),
        single("moorage_temp_spares_wanted", "gauge", "How many spares are kept ready", spares.wanted),
        single("moorage_temp_waiting", "gauge", "Visitors in the queue", stats.queue),
        single("moorage_temp_draining", "gauge", "1 when no new visitors are let in", int(stats.draining)),
        single("moorage_temp_uptime_seconds", "gauge", "Since the service began", round(stats.uptime, 1)),
    ]
    about = "Servers whose share of the processors is lowered"
    parts.append(single("moorage_temp_braked", "gauge", about, all_servers.braked))
    if stats.memory is not None:
        about = "Memory of all servers with their kernels"
        parts.append(single("moorage_temp_memory_bytes", "gauge", about, stats.memory))
    return "".join(parts)
