"""The report as one HTML page that needs nothing else: answers in, text out."""

from __future__ import annotations

import base64
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.alerts import formatting as wording
from glacier_jobs.alerts.rules import URGENT_HOURS
from glacier_jobs.html_report.charts import Series, Spread, spreads, stacked_areas, stacked_bars
from glacier_jobs.reports.axis_limits import axis_limit

#: Rows of a table that the page shows, and how many of them at once; all are in the Parquet beside it.
MAX_ROWS = 200
FEW_ROWS = 10

#: A listing older than this means that observing has stopped or is failing. It is made every hour.
STALE_AFTER_HOURS = 3.0

#: The colours of the charts are those of the page, so that neighbours in a stack differ in lightness as well, also for
#: those who are colour-blind. From the bottom of the stack to its top.
STATUS_COLOURS = {"failed": "#8c3500", "succeeded": "#4fa37f", "in_progress": "#1f4a99"}
VAULT_COLOURS = ("#335998", "#bc8825", "#25277b", "#79998f", "#58170e")
OTHERS_COLOUR = "#6a6e73"
_PANELS = 6

_STACKED = "The legend names the layers from the bottom up."
_CUT = " A triangle marks a value beyond the end of the axis."
_DAY = timedelta(days=1)

_Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a report says.

    :param dataset_uri: which dataset it is about.
    :param made_at: the moment at which all was asked, an aware UTC datetime.
    :param newest_at: when the newest observation began; ``None`` where there is none.
    :param answers: question -> its answer.
    :param coverage_days: how many days the answer to ``coverage`` spans.
    """

    dataset_uri: str
    made_at: datetime
    newest_at: datetime | None
    answers: Mapping[str, pa.Table]
    coverage_days: int


def render(contents: Contents) -> str:
    """Return the page."""
    answers = contents.answers
    expiring, failed = answers["expiring_outputs"], answers["failures"]
    slow, unlisted = answers["slower_than_typical"], answers["unlisted_vaults"]
    gaps = _gaps(answers["coverage"])
    urgent = expiring.filter(pc.field("hours_left") < URGENT_HOURS).num_rows
    tiles = [
        _tile(urgent, f"to download in {wording.duration(URGENT_HOURS)}", "expiring", "bad"),
        _tile(failed.num_rows, "failed within 24 h", "failed", "bad"),
        _tile(slow.num_rows, "slower than typical", "slow", "warn"),
        _tile(
            unlisted.num_rows, "vault not listed" if unlisted.num_rows == 1 else "vaults not listed", "unlisted", "warn"
        ),
        _tile(len(gaps), "gap in the record" if len(gaps) == 1 else "gaps in the record", "gaps", "bad"),
    ]
    newest_at = contents.newest_at
    return _environment().get_template("report.html").render(
        dataset_uri=contents.dataset_uri,
        made_at=contents.made_at,
        newest_at=newest_at,
        newest_age_hours=(contents.made_at - newest_at).total_seconds() / 3600 if newest_at else None,
        stale_after_hours=STALE_AFTER_HOURS,
        urgent_hours=URGENT_HOURS,
        coverage_days=contents.coverage_days,
        few=FEW_ROWS,
        tiles=tiles,
        quiet=not any(tile["number"] for tile in tiles),
        expiring=_first(expiring),
        failed=_first(failed),
        slow=_first(slow),
        unlisted=_first(unlisted),
        gaps={"rows": gaps[:MAX_ROWS], "more": max(0, len(gaps) - MAX_ROWS)},
        vaults=_first(answers["latest_vaults"]),
        pictures=[
            _jobs_over_time(answers["jobs_over_time"]),
            _retrieval_times(answers["retrieval_times"]),
            _volume(answers["daily_volume"]),
        ],
        answers=sorted(answers),
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
        "size": wording.size,
        "duration": wording.duration,
        "count": wording.count,
        "moment": wording.moment,
    }
    return environment


def _tile(number: int, text: str, anchor: str, style: str) -> dict[str, Any]:
    return {"number": number, "text": text, "anchor": anchor, "style": style if number else ""}


def _first(table: pa.Table) -> dict[str, Any]:
    return {"rows": table.slice(0, MAX_ROWS).to_pylist(), "more": max(0, table.num_rows - MAX_ROWS)}


def _gaps(coverage: pa.Table) -> list[dict[str, Any]]:
    """Return the gaps beyond retention, newest first; what many vaults missed together is one gap."""
    together: dict[tuple[Any, ...], list[_Row]] = defaultdict(list)
    for row in coverage.filter(pc.field("beyond_retention")).to_pylist():
        together[row["account_id"], row["region"], row["from_hour"], row["to_hour"]].append(row)
    gaps = [
        {
            **rows[0],
            "gap_hours": max(row["gap_hours"] for row in rows),
            "vaults": _few_names([row["vault_name"] for row in rows]),
        }
        for rows in together.values()
    ]
    return sorted(gaps, key=lambda gap: (gap["from_hour"], gap["account_id"], gap["region"]), reverse=True)


def _few_names(names: Sequence[str]) -> list[str]:
    return [*names[:FEW_ROWS], f"and {len(names) - FEW_ROWS} more"] if len(names) > FEW_ROWS else list(names)


def _picture(
    title: str, text: str, legend: Sequence[Series] = (), panels: Sequence[_Panel] = (), *, side_by_side: bool = False
) -> dict[str, Any]:
    return {"title": title, "text": text, "legend": legend, "panels": panels, "side_by_side": side_by_side}


@dataclass(frozen=True, kw_only=True)
class _Panel:
    """One drawing.

    :param title: what stands above it, where a picture has several.
    :param label: what it shows, for those who cannot see it.
    """

    svg: str
    label: str
    title: str = ""

    @property
    def source(self) -> str:
        """The drawing as an image's address: its styles and names shall not mix with the page's."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg.encode()).decode()}"


def _jobs_over_time(table: pa.Table) -> dict[str, Any]:
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
    svg = stacked_areas(table["hour"].to_pylist(), series, number=wording.count, limit=limit)
    newest = ", ".join(f"{wording.count(each.values[-1])} {each.name}" for each in series)
    panel = _Panel(svg=svg, label=f"Number of jobs over time by status; at the end {newest}")
    return _picture(title, f"{text} {_STACKED}{_CUT if limit else ''}", series, [panel])


def _retrieval_times(table: pa.Table) -> dict[str, Any]:
    kinds: dict[tuple[str, str], list[_Row]] = defaultdict(list)
    for row in table.to_pylist():
        kinds[row["tier"], row["action"] or "unknown"].append(row)
    most = sorted(kinds, key=lambda kind: sum(row["jobs"] for row in kinds[kind]), reverse=True)[:_PANELS]
    order = {"Expedited": 0, "Standard": 1, "Bulk": 2}
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
        jobs = wording.counted(sum(row["jobs"] for row in rows), "job")
        longest_by_day = [spread.most for spread in found]
        limit = axis_limit(longest_by_day)
        unit = _time_unit(limit.top if limit else max(longest_by_day))
        cut = cut or limit is not None
        svg = spreads(_days(table), found, number=wording.duration, unit=unit, limit=limit)
        longest = wording.duration(max(longest_by_day))
        label = f"Retrieval times of {tier} {action} by day; the longest took {longest}"
        panels.append(_Panel(svg=svg, label=label, title=f"{tier}, {_spaced(action)}: {jobs}"))
    text = (
        "By the day of completion: the line in the box is the median, the box reaches up to the 90th percentile, "
        "the thin line to the longest."
    )
    return _picture("Retrieval times by tier", text + (_CUT if cut else ""), [], panels, side_by_side=True)


def _volume(table: pa.Table) -> dict[str, Any]:
    title, text = "Volume by vault", "Bytes that were retrieved, by the day of completion."
    moved: dict[tuple[str, str, str], dict[date, float]] = defaultdict(lambda: defaultdict(float))
    for row in table.to_pylist():
        if row["bytes"]:
            moved[row["account_id"], row["region"], row["vault_name"]][row["day"]] += row["bytes"]
    if not moved:
        return _picture(title, text)
    days = _days(table)
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
    svg = stacked_bars(days, series, number=wording.size, unit=unit, limit=limit)
    panel = _Panel(svg=svg, label=f"Bytes retrieved by day and vault; {wording.size(sum(sums))} in all")
    return _picture(title, f"{text} {_STACKED}{_CUT if limit else ''}", series, [panel])


def _days(table: pa.Table) -> list[date]:
    """Return all days from the first to the last that a table speaks of."""
    ends = pc.min_max(table["day"]).as_py()
    return [ends["min"] + number * _DAY for number in range((ends["max"] - ends["min"]).days + 1)]


def _sums(series: Sequence[Series]) -> list[float]:
    """Return how high the values lie on top of one another, at each place of the horizontal axis."""
    return [sum(values) for values in zip(*(each.values for each in series), strict=True)]


def _size_unit(most: float) -> float:
    """Return the power of 1024 in which the axis of sizes up to this one has round numbers."""
    return 1024.0 ** max(0, math.floor(math.log(max(most, 1.0), 1024)))


def _time_unit(most: float) -> float:
    """Return the hours, or the minute of an hour, in which the axis of times up to this one has round numbers."""
    return 1.0 if most > 2 else 1 / 60


def _spaced(action: str) -> str:
    return {"ArchiveRetrieval": "archives", "InventoryRetrieval": "inventories"}.get(action, action)
