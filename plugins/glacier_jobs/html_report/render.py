"""The report as one self-contained HTML page: answers in, HTML text out."""

from __future__ import annotations

import base64
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

import jinja2
import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.alerts import formatting
from glacier_jobs.alerts.attention import FAILED_WITHIN, GAP_DAYS, STALE_HOURS, URGENT_HOURS, Attention, Gap
from glacier_jobs.html_report.charts import Series, Spread, spreads, stacked_areas, stacked_bars
from glacier_jobs.html_report.periods import CHART_DAYS, COVERAGE_DAYS, HISTORY_DAYS
from glacier_jobs.html_report.targets import by_target
from glacier_jobs.reports.axis_limits import axis_limit
from glacier_jobs.reports.questions import QUESTIONS
from glacier_jobs.reports.unobserved import unobserved

#: The number of rows of a table on the page, and of those shown at first. All rows are in the Parquet files.
MAX_ROWS = 200
FEW_ROWS = 10

#: The number of rows of the table of accounts and Regions that are shown at first.
FEW_TARGETS = 40

#: The colours of the charts, which are those of the page in Airflow's UI, from the bottom of a stack to its top.
#: Neighbours differ in lightness too, so that readers with any form of colour blindness can distinguish them.
STATUS_COLOURS = {"failed": "#8c3500", "succeeded": "#4fa37f", "in_progress": "#1f4a99"}
VAULT_COLOURS = ("#335998", "#bc8825", "#25277b", "#79998f", "#58170e")
OTHERS_COLOUR = "#6a6e73"
_PANELS = 6

_STACKED = "The legend names the layers from the bottom up."
_CUT = " A triangle marks a value beyond the end of the axis."
_HATCHED = f" Hatched: no vault was listed for more than {formatting.duration(STALE_HOURS)}."
_DAY = timedelta(days=1)

_Row = Mapping[str, Any]

#: The start and the end.
_Period: TypeAlias = tuple[datetime, datetime]


#: The questions whose answers are on the page.
SHOWN = frozenset(
    {
        "coverage", "daily_volume", "expired_outputs", "jobs_over_time", "latest_targets", "latest_vaults",
        "retrieval_times", "retrieval_times_by_region", "waves",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The content of a report.

    :param dataset_uri: the name of the dataset.
    :param made_at: the moment that all answers take as the present, an aware UTC datetime.
    :param newest_at: when the newest observation began; ``None`` where there is none.
    :param answers: each of :data:`SHOWN` -> its answer, for the periods of :mod:`glacier_jobs.html_report.periods`.
    """

    dataset_uri: str
    made_at: datetime
    newest_at: datetime | None
    answers: Mapping[str, pa.Table]
    attention: Attention


def render(contents: Contents) -> str:
    """Return the page."""
    answers, attention = contents.answers, contents.attention
    counts = attention.counts
    not_listed = counts["unlisted"] + counts["stale"]
    or_unknown = " or at an unknown time" if attention.expiring_at_unknown_time else ""
    tiles = [
        _tile(counts["expiring"], f"to download in {_unbroken(URGENT_HOURS)}{or_unknown}", "expiring", "bad"),
        _tile(counts["failed"], f"failed within {_unbroken(FAILED_WITHIN / timedelta(hours=1))}", "failed", "bad"),
        _tile(counts["slow"], "slower than typical", "slow", "warn"),
        _tile(not_listed, _plural(not_listed, "vault", "not listed"), "unlisted", "warn"),
        _tile(counts["not_observed"], _plural(counts["not_observed"], "Region", "not observed"), "not-observed", "bad"),
        _tile(counts["gaps"], _plural(counts["gaps"], "gap", "in the record"), "gaps", "bad"),
    ]
    newest_at = contents.newest_at
    covered_since = contents.made_at - timedelta(days=COVERAGE_DAYS)
    gaps = unobserved(answers["coverage"], covered_since, contents.made_at)
    return _environment().get_template("report.html").render(
        dataset_uri=contents.dataset_uri,
        made_at=contents.made_at,
        newest_at=newest_at,
        newest_age_hours=(contents.made_at - newest_at).total_seconds() / 3600 if newest_at else None,
        stale_hours=STALE_HOURS,
        urgent_hours=URGENT_HOURS,
        gap_days=GAP_DAYS,
        few=FEW_ROWS,
        few_targets=FEW_TARGETS,
        history_days=HISTORY_DAYS,
        chart_days=CHART_DAYS,
        tiles=tiles,
        nothing=attention.nothing,
        nobody_observes=attention.nobody_observes,
        targets=_first_of(by_target(answers["latest_targets"], attention)),
        outputs=_first(attention.outputs),
        failed=_first(attention.failed),
        slow=_first(attention.slow),
        unlisted=_first(attention.unlisted),
        stale=_first(attention.stale),
        not_observed=_first_of(attention.not_observed),
        gaps=_first_of([_gap(gap) for gap in attention.gaps]),
        vaults=_first(answers["latest_vaults"]),
        waves=_first(answers["waves"]),
        expired=_first(answers["expired_outputs"]),
        times=_first(answers["retrieval_times_by_region"]),
        pictures=[
            _jobs_over_time(answers["jobs_over_time"], gaps),
            _retrieval_times(answers["retrieval_times"], gaps),
            _volume(answers["daily_volume"], gaps),
        ],
        answers=sorted(QUESTIONS),
    )  # fmt: skip


@cache
def _environment() -> jinja2.Environment:
    folder = files("glacier_jobs.html_report")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {
        "size": formatting.size,
        "duration": formatting.duration,
        "count": formatting.count,
        "moment": formatting.moment,
        "share": formatting.share,
        "spaced": _spaced,
    }
    return environment


def _tile(number: int, text: str, anchor: str, style: str) -> dict[str, Any]:
    return {"number": number, "text": text, "anchor": anchor, "style": style if number else ""}


def _unbroken(hours: float) -> str:
    """Write a time span so that no line ends between number and unit."""
    return formatting.duration(hours).replace(" ", "\u00a0")


def _plural(number: int, thing: str, rest: str) -> str:
    return f"{thing}{'' if number == 1 else 's'} {rest}"


def _first(table: pa.Table) -> dict[str, Any]:
    return {"rows": table.slice(0, MAX_ROWS).to_pylist(), "more": max(0, table.num_rows - MAX_ROWS)}


def _first_of(items: Sequence[Any]) -> dict[str, Any]:
    return {"rows": items[:MAX_ROWS], "more": max(0, len(items) - MAX_ROWS)}


def _gap(gap: Gap) -> dict[str, Any]:
    """Return a gap with the names of its vaults, Region by Region; of both, only the first."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for vault in gap.vaults:
        names[vault["account_id"], vault["region"]].append(vault["vault_name"])
    targets = sorted(names.items())
    return {
        "from_hour": gap.from_hour,
        "to_hour": gap.to_hour,
        "gap_hours": gap.gap_hours,
        "targets": [
            {"account_id": account_id, "region": region, "vaults": _few_names(vaults)}
            for (account_id, region), vaults in targets[:FEW_ROWS]
        ],
        "more": max(0, len(targets) - FEW_ROWS),
    }


def _few_names(names: Sequence[str]) -> list[str]:
    return [*names[:FEW_ROWS], f"and {len(names) - FEW_ROWS} more"] if len(names) > FEW_ROWS else list(names)


def _whole_days(gaps: Sequence[_Period], days: Sequence[date]) -> list[tuple[date, date]]:
    """Return the first days, and the days after the last, of the whole days in gaps that are among some days."""
    found = []
    for start, end in gaps:
        first, after = max((start + _DAY - timedelta.resolution).date(), days[0]), min(end.date(), days[-1] + _DAY)
        if first < after:
            found.append((first, after))
    return found


def _picture(
    title: str,
    text: str,
    legend: Sequence[Series] = (),
    panels: Sequence[_Panel] = (),
    *,
    hatched: bool = False,
    side_by_side: bool = False,
) -> dict[str, Any]:
    return {
        "title": title,
        "text": text + (_HATCHED if hatched else ""),
        "legend": legend,
        "panels": panels,
        "hatched": hatched,
        "side_by_side": side_by_side,
    }


@dataclass(frozen=True, kw_only=True)
class _Panel:
    """One panel of a chart.

    :param title: its heading, where a chart has several panels.
    :param label: the text alternative.
    :param narrow_svg: the panel for a narrow window; ``None`` if ``svg`` is narrow enough.
    """

    svg: str
    label: str
    title: str = ""
    narrow_svg: str | None = None

    @property
    def source(self) -> str:
        return _data_url(self.svg)

    @property
    def narrow_source(self) -> str | None:
        return self.narrow_svg and _data_url(self.narrow_svg)


def _data_url(svg: str) -> str:
    """Return a URL of an SVG: as an image, its styles and ids do not affect the page."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _jobs_over_time(table: pa.Table, gaps: Sequence[_Period]) -> dict[str, Any]:
    series = [
        Series(name=column.replace("_", " "), colour=colour, values=table[column].to_pylist())
        for column, colour in STATUS_COLOURS.items()
    ]
    title = "Jobs over time"
    text = (
        "Hour by hour: in progress, and succeeded or failed within the 24 hours before, for which Glacier keeps them."
    )
    if table.num_rows < 2:
        return _picture(title, text)
    limit = axis_limit(_sums(series))
    hours = table["hour"].to_pylist()
    shown = [(max(start, hours[0]), end) for start, end in gaps if end > hours[0]]
    svg, narrow_svg = (
        stacked_areas(hours, series, number=formatting.count, gaps=shown, limit=limit, narrow=narrow)
        for narrow in (False, True)
    )
    newest = ", ".join(f"{formatting.count(each.values[-1])} {each.name}" for each in series)
    label = f"Number of jobs over time by status; at the end {newest}"
    if shown:
        missed_hours = sum((end - start for start, end in shown), timedelta()) / timedelta(hours=1)
        label += f"; not observed for {formatting.duration(missed_hours)}"
    panel = _Panel(svg=svg, narrow_svg=narrow_svg, label=label)
    return _picture(title, f"{text} {_STACKED}{_CUT if limit else ''}", series, [panel], hatched=bool(shown))


def _retrieval_times(table: pa.Table, gaps: Sequence[_Period]) -> dict[str, Any]:
    title = "Retrieval times by tier"
    text = (
        "By the day of completion: the line in the box is the median, the box reaches up to the 90th percentile, "
        "the thin line to the longest."
    )
    if not table.num_rows:
        return _picture(title, text)
    kinds: dict[tuple[str, str], list[_Row]] = defaultdict(list)
    for row in table.to_pylist():
        kinds[row["tier"], row["action"] or "unknown"].append(row)
    most = sorted(kinds, key=lambda kind: sum(row["jobs"] for row in kinds[kind]), reverse=True)[:_PANELS]
    order = {"Expedited": 0, "Standard": 1, "Bulk": 2}
    days = _days(table)
    shown = _whole_days(gaps, days)
    panels, cut = [], False
    for tier, action in sorted(most, key=lambda kind: (order.get(kind[0], 3), *kind)):
        rows = kinds[tier, action]
        found = [
            Spread(
                at=row["day"],
                p50=row["p50_seconds"] / 3600,
                p90=row["p90_seconds"] / 3600,
                most=row["max_seconds"] / 3600,
            )
            for row in rows
        ]
        jobs = formatting.counted(sum(row["jobs"] for row in rows), "job")
        longest_by_day = [spread.most for spread in found]
        limit = axis_limit(longest_by_day)
        unit = _time_unit(limit.top if limit else max(longest_by_day))
        cut = cut or limit is not None
        svg = spreads(days, found, number=formatting.duration, unit=unit, gaps=shown, limit=limit)
        longest = formatting.duration(max(longest_by_day))
        label = f"Retrieval times of {tier} {action} by day; the longest took {longest}"
        panels.append(_Panel(svg=svg, label=label, title=f"{tier}, {_spaced(action)}: {jobs}"))
    return _picture(title, text + (_CUT if cut else ""), [], panels, hatched=bool(shown), side_by_side=True)


def _volume(table: pa.Table, gaps: Sequence[_Period]) -> dict[str, Any]:
    title, text = "Volume by vault", "Bytes that were retrieved, by the day of completion."
    moved: dict[tuple[str, str, str], dict[date, float]] = defaultdict(lambda: defaultdict(float))
    for row in table.to_pylist():
        if row["bytes"]:
            moved[row["account_id"], row["region"], row["vault_name"]][row["day"]] += row["bytes"]
    if not moved:
        return _picture(title, text)
    days = _days(table)
    shown_gaps = _whole_days(gaps, days)
    largest = sorted(moved, key=lambda vault: (-sum(moved[vault].values()), vault))
    shown, others = largest[: len(VAULT_COLOURS)], largest[len(VAULT_COLOURS) :]
    names = Counter(vault_name for *_, vault_name in shown)
    series = [
        Series(
            name=vault_name if names[vault_name] == 1 else f"{vault_name} ({account_id}, {region})",
            colour=colour,
            values=[moved[account_id, region, vault_name].get(day, 0.0) for day in days],
        )
        for (account_id, region, vault_name), colour in zip(shown, VAULT_COLOURS, strict=False)
    ]
    if others:
        values = [sum(moved[vault].get(day, 0.0) for vault in others) for day in days]
        series.append(Series(name=f"{len(others)} others", colour=OTHERS_COLOUR, values=values))
    sums = _sums(series)
    limit = axis_limit(sums)
    unit = _size_unit(limit.top if limit else max(sums))
    svg, narrow_svg = (
        stacked_bars(days, series, number=formatting.size, unit=unit, gaps=shown_gaps, limit=limit, narrow=narrow)
        for narrow in (False, True)
    )
    label = f"Bytes retrieved by day and vault; {formatting.size(sum(sums))} in all"
    panel = _Panel(svg=svg, narrow_svg=narrow_svg, label=label)
    return _picture(title, f"{text} {_STACKED}{_CUT if limit else ''}", series, [panel], hatched=bool(shown_gaps))


def _days(table: pa.Table) -> list[date]:
    """Return all days from the first to the last day of a table."""
    ends = pc.min_max(table["day"]).as_py()
    return [ends["min"] + number * _DAY for number in range((ends["max"] - ends["min"]).days + 1)]


def _sums(series: Sequence[Series]) -> list[float]:
    """Return the height of the stack at each position of the horizontal axis."""
    return [sum(values) for values in zip(*(each.values for each in series), strict=True)]


def _size_unit(most: float) -> float:
    """Return the power of 1024 in which an axis up to this size has round tick labels."""
    return 1024.0 ** max(0, math.floor(math.log(max(most, 1.0), 1024)))


def _time_unit(most: float) -> float:
    """Return the unit in hours, an hour or a minute, in which an axis up to this time has round tick labels."""
    return 1.0 if most > 2 else 1 / 60


def _spaced(action: str) -> str:
    return {"ArchiveRetrieval": "archives", "InventoryRetrieval": "inventories"}.get(action, action)
