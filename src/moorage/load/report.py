"""The report of a crowd: one page that needs nothing but itself."""

from __future__ import annotations

from html import escape
from pathlib import Path

from moorage.load.charts import LogScale, dots_chart, lateness_chart, spread, visitors_chart
from moorage.load.measures import LATE, Figures, Group, Measures, figures, groups
from moorage.load.settings import LoadSettings
from moorage.load.steps import TITLES
from moorage.load.words import counted, remarks, span, verdict
from moorage.stylesheet import stylesheet
from moorage.version import __version__


def report_page(measures: Measures, settings: LoadSettings, *, interrupted: bool) -> str:
    """Return the HTML of a report.

    Args:
        measures: of a crowd that has gone.
        settings: what was asked of it.
        interrupted: whether it was told to go before its time.
    """
    rows = figures(measures)
    seconds = max(measures.seconds, 1.0, *(each.at for each in measures.standings))
    parts = [_visitors(measures, seconds), _steps(rows), _errors(measures)]
    parts += [_course(measures, rows, seconds), _late(measures, seconds)]
    told = "" if measures.well else " trouble"
    stopped = "<strong>Interrupted.</strong> " if interrupted else ""
    here = Path(__file__)
    return (
        here.with_name("page.html")
        .read_text("utf-8")
        .format(
            style=stylesheet() + here.with_name("report.css").read_text("utf-8"),
            title=escape(f"{counted(settings.visitors, 'visitor')} at {settings.url}"),
            verdict=f'<p class="verdict{told}">{stopped}{escape(verdict(measures))}</p>'
            + "".join(f'<p class="verdict remark">{escape(text)}</p>' for text in remarks(measures)),
            figures=_totals(measures, settings),
            main="\n".join(parts),
            version=__version__,
        )
    )


def _totals(measures: Measures, settings: LoadSettings) -> str:
    still = len(measures.queued - measures.let_in)
    cells = [
        ("Let in", str(len(measures.let_in)), f"of {len(measures.came)} that came in {settings.within:g} s"),
        ("In the queue", str(len(measures.queued)), f"{still} of them to the end"),
        ("Errors", str(len(measures.failures)), f"seen by {counted(len(measures.troubled), 'visitor')}"),
        ("Lasted", f"{measures.seconds:.0f} s", f"with {counted(settings.notebooks, 'notebook')} each"),
    ]
    return "".join(
        f"<div><dt>{name}</dt><dd>{value}<span>{escape(about)}</span></dd></div>"
        for name, value, about in cells
    )


def _visitors(measures: Measures, seconds: float) -> str:
    legend = "".join(
        f'<span class="{kind}"><i></i>{words}</span>'
        for kind, words in (
            ("inside", "in their servers"),
            ("arriving", "on the way"),
            ("queued", "in the queue"),
        )
    )
    chart = visitors_chart(measures.standings, seconds)
    return _section("visitors", "Visitors", "where they were", f'{chart}<p class="legend">{legend}</p>')


def _steps(rows: list[Figures]) -> str:
    times = [value for row in rows for value in (row.p50, row.max) if value is not None]
    scale = LogScale(times)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("n", "p50", "p95", "p99", "max", "errors"))
    body = "".join(_row(row, scale) for row in rows)
    ticks = "".join(f'<span style="left:{at:.2f}%">{word}</span>' for at, word in scale.ticks)
    scale_cell = f'<td class="bar"><div class="along" aria-hidden="true">{ticks}</div></td>'
    head = f'<thead><tr><th scope="col">step</th>{scale_cell}{head}</tr></thead>'
    table = f"<table>{head}<tbody>{body}</tbody></table>"
    return _section("steps", "Steps", "from p50 by p95 to the longest, on a scale of decades", table)


def _row(row: Figures, scale: LogScale) -> str:
    cells = [str(row.count), *map(span, (row.p50, row.p95, row.p99, row.max)), str(row.errors)]
    return (
        f'<tr{" class=bad" if row.errors else ""}><th scope="row">{TITLES[row.step]}</th>'
        f'<td class="bar">{spread(row, scale)}</td>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
    )


def _item(each: Group) -> str:
    seen = (
        f"{escape(TITLES[each.step])}, by {counted(each.visitors, 'visitor')}, first after {each.first:.0f} s"
    )
    said = f"{each.trouble.status or 'no answer'} {escape(each.trouble.text)}"
    return f"<li><b>{counted(each.count, 'time')}</b> {seen}: <code>{said}</code></li>"


def _errors(measures: Measures) -> str:
    items = "".join(map(_item, groups(measures.failures)))
    refusals = "".join(
        f"<li><b>Refused</b> <code>{escape(text)}</code></li>"
        for text in sorted({each.text for each in measures.refused.values()})
    )
    if not items + refusals:
        return ""
    return _section("errors", "Errors", "what visitors saw", f'<ul class="list">{items}{refusals}</ul>')


def _course(measures: Measures, rows: list[Figures], seconds: float) -> str:
    charts = "".join(
        dots_chart(
            TITLES[row.step],
            measures.samples.get(row.step, ()),
            [each for each in measures.failures if each.step is row.step],
            row.p95,
            seconds,
        )
        for row in rows
        if row.count + row.errors > 1
    )
    return _section(
        "course", "How long each took", "by the time of the run", f'<div class="plots">{charts}</div>'
    )


def _late(measures: Measures, seconds: float) -> str:
    if measures.latest <= LATE:
        return ""
    chart = lateness_chart(measures.lateness, seconds)
    return _section("late", "How late the crowd itself was", "its times are too long by as much", chart)


def _section(name: str, title: str, about: str, body: str) -> str:
    head = f'<h2 id="{name}">{title} <small>{about}</small></h2>'
    return f'<section aria-labelledby="{name}">{head}{body}</section>'
