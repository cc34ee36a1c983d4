"""Random observations of random jobs, and the expected outcome of each job computed in plain Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.schema import TABLES, table_from_rows
from glacier_jobs.history.fold import JOB_COLUMNS, OBSERVATION_COLUMNS, VAULT_COLUMNS, RawRows

FIRST_DAY = date(2026, 11, 18)
DAYS = 4
START = datetime(2026, 11, 18, tzinfo=timezone.utc)
DAY = timedelta(hours=24)
VAULTS = ("photos", "films")
JOB_IDS = ("a", "b", "c")
_ARN_PARTS = ("account_id", "region", "vault_name")


@dataclass(frozen=True, kw_only=True)
class RawObservation:
    """One observation: its rows in the raw tables ``observations``, ``vaults`` and ``jobs``."""

    row: dict[str, Any]
    vaults: list[dict[str, Any]]
    jobs: list[dict[str, Any]]

    def __repr__(self) -> str:
        """Without null columns and parts of the ARN: Hypothesis raises a warning for a long text, not the failure."""
        rows = {
            name: [
                {column: value for column, value in row.items() if value is not None and column not in _ARN_PARTS}
                for row in rows
            ]
            for name, rows in (("row", [self.row]), ("vaults", self.vaults), ("jobs", self.jobs))
        }
        return f"RawObservation({', '.join(f'{name}={value}' for name, value in rows.items())})"

    @property
    def day(self) -> date:
        moment: datetime = self.row["snapshot_at"]
        return moment.date()


def _vault_columns(vault_name: str, region: str) -> dict[str, str]:
    return {
        "account_id": "123456789012",
        "region": region,
        "vault_name": vault_name,
        "vault_arn": f"arn:aws:glacier:{region}:123456789012:vaults/{vault_name}",
    }


#: Minutes since the beginning. Many are shortly before midnight, so that the listing continues on the next day.
_MINUTES = st.integers(0, DAYS * 24 * 60 - 1) | st.builds(
    lambda day, minute: day * 24 * 60 + minute, st.integers(0, DAYS - 1), st.integers(23 * 60, 24 * 60 - 1)
)

_LONGEST_MINUTES = 120


@dataclass(frozen=True, kw_only=True)
class Life:
    """A job as Glacier has it: until when it is in progress, how it ends, and until when it is listed."""

    created: datetime
    completes: datetime
    ends_as: str
    dropped: datetime

    def status(self, at: datetime) -> str | None:
        if not self.created <= at < self.dropped:
            return None
        return "InProgress" if at < self.completes else self.ends_as


@st.composite
def random_life(draw: st.DrawFn) -> Life:
    """A job of these days; Glacier may keep it for longer than 24 hours. One status is not known to this version."""
    created = START + timedelta(hours=draw(st.integers(-12, DAYS * 24 - 12)))
    completes = created + timedelta(hours=draw(st.integers(1, 48)))
    ends_as = draw(st.sampled_from(["Succeeded", "Succeeded", "Failed", "Paused"]))
    dropped = completes + timedelta(hours=draw(st.integers(-1, 60)))
    return Life(created=created, completes=completes, ends_as=ends_as, dropped=dropped)


#: The lives of the jobs, by vault name and job id; each Region has the same.
Lives: TypeAlias = dict[tuple[str, str], Life]
random_lives = st.fixed_dictionaries({(vault, job_id): random_life() for vault in VAULTS for job_id in JOB_IDS})


@st.composite
def random_observation(draw: st.DrawFn, number: int, lives: Lives) -> RawObservation:
    """An observation at any time, of all vaults or of some, with any outcomes; some jobs are listed unexpectedly."""
    region = draw(st.sampled_from(["us-east-1", "us-east-1", "us-east-1", "eu-west-1"]))
    snapshot_at = START + timedelta(minutes=draw(_MINUTES), microseconds=number)
    observation_id = f"123456789012_{region}_{snapshot_at:%Y%m%dT%H%M%S}Z_{number:06x}"
    vaults, jobs, ends = [], [], [snapshot_at]
    for vault_name in VAULTS:
        outcome = draw(st.sampled_from(["listed", "listed", "listed", "failed", "gone", "absent"]))
        if outcome == "absent":
            continue
        began_at = snapshot_at + timedelta(minutes=draw(st.integers(0, _LONGEST_MINUTES)))
        length = draw(st.integers(0, _LONGEST_MINUTES))
        ends.append(began_at + timedelta(minutes=length))
        vaults.append(
            {
                "observation_id": observation_id,
                "snapshot_at": snapshot_at,
                **_vault_columns(vault_name, region),
                "jobs": 0,
                "pages": 1,
                "listing_began_at": began_at,
                "listing_ended_at": ends[-1],
                "outcome": outcome,
            }
        )
        for job_id in JOB_IDS if outcome == "listed" else ():
            life = lives[vault_name, job_id]
            observed_at = began_at + timedelta(minutes=draw(st.integers(0, length)))
            reasonable = life.status(observed_at)
            status = draw(st.sampled_from([reasonable] * 6 + [None, "InProgress"]))
            if status is not None and life.created <= observed_at:
                jobs.append(
                    {
                        "observation_id": observation_id,
                        "snapshot_at": snapshot_at,
                        **_vault_columns(vault_name, region),
                        "job_id": job_id,
                        "observed_at": observed_at,
                        "status_code": status,
                        # Of one job, Glacier does not say when.
                        "creation_date": None if job_id == "b" else life.created,
                        "completion_date": None if job_id == "b" or status == "InProgress" else life.completes,
                        "action": "ArchiveRetrieval",
                        "job_description": None if job_id == "b" else f"wave {1 + (job_id == 'c')}: {vault_name}",
                    }
                )
    ended_at = max(ends)
    return RawObservation(
        row={
            "observation_id": observation_id,
            "snapshot_at": snapshot_at,
            "ended_at": ended_at,
            "account_id": "123456789012",
            "region": region,
            **dict.fromkeys(("vaults_listed", "vaults_gone", "vaults_failed"), len(vaults)),
            "jobs": len(jobs),
            "package_version": "random",
            "schema_version": 1,
            "scope": draw(st.sampled_from(["all", "named"])),
            "published_at": ended_at + timedelta(minutes=draw(st.integers(0, 60))),
        },
        vaults=vaults,
        jobs=jobs,
    )


@st.composite
def random_observations(draw: st.DrawFn, *, at_least: int = 0) -> list[RawObservation]:
    """Up to 14 observations on the four days, in random order; they may overlap in time."""
    lives = draw(random_lives)
    return [draw(random_observation(number, lives)) for number in range(draw(st.integers(at_least, 14)))]


def write_raw(dataset: Dataset, seen: list[RawObservation]) -> None:
    """Write observations unchanged, also those that the package's writer would never write."""
    for observation in seen:
        for table, rows in (
            ("jobs", observation.jobs),
            ("vaults", observation.vaults),
            ("observations", [observation.row]),
        ):
            path = Path(dataset.path(table, observation.row["observation_id"]))
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table_from_rows(rows, TABLES[table]), path)


def raw_rows(seen: Sequence[RawObservation]) -> RawRows:
    """Return the rows of some observations as raw tables."""
    return RawRows(
        jobs=_table("jobs", JOB_COLUMNS, [row for observation in seen for row in observation.jobs]),
        vaults=_table("vaults", VAULT_COLUMNS, [row for observation in seen for row in observation.vaults]),
        observations=_table("observations", OBSERVATION_COLUMNS, [observation.row for observation in seen]),
    )


def _table(table: str, columns: Sequence[str], rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema([TABLES[table].field(name) for name in columns]))


def expected_outcomes(seen: Sequence[RawObservation]) -> dict[tuple[str, str], dict[str, Any]]:
    """Compute the outcome of each job, by vault ARN and job id, with loops over all rows."""
    jobs: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for observation in seen:
        for job in observation.jobs:
            jobs[job["vault_arn"], job["job_id"]].append(job)
    newest_at = max((observation.row["snapshot_at"].replace(microsecond=0) for observation in seen), default=None)
    outcomes = {}
    for (arn, job_id), job_rows in jobs.items():
        last = max(job_rows, key=lambda row: (row["observed_at"], row["observation_id"]))
        evidence, failed_at = _evidence(seen, arn, job_rows[0]["region"])
        after = [item for item in evidence if item[0] > last["observed_at"]]
        listing_times = [at for at, *_ in evidence] + failed_at
        outcome, as_of = _outcome(last, after, max(listing_times), newest_at)
        outcomes[arn, job_id] = {
            "outcome": outcome,
            "as_of": as_of,
            "status_code": last["status_code"],
            "first_seen_at": min(row["observed_at"] for row in job_rows),
            "last_seen_at": last["observed_at"],
            "observation_count": len(job_rows),
        }
    return outcomes


def _evidence(seen: Sequence[RawObservation], arn: str, region: str) -> tuple[list[Any], list[datetime]]:
    """Return the evidence on a vault as (start, listed or gone, end), and the times of failed listings."""
    evidence: list[Any] = []
    failed_at = []
    for observation in seen:
        rows = [row for row in observation.vaults if row["vault_arn"] == arn]
        began_at = observation.row["snapshot_at"]
        if not rows and observation.row["region"] == region and observation.row["scope"] == "all":
            evidence.append((began_at, "gone", began_at))
        for row in rows:
            if row["outcome"] == "listed":
                evidence.append((row["listing_began_at"], "listed", row["listing_ended_at"]))
            elif row["outcome"] == "gone":
                evidence.append((row["listing_ended_at"], "gone", row["listing_ended_at"]))
            else:
                failed_at.append(row["listing_ended_at"])
    return evidence, failed_at


def _outcome(
    last: dict[str, Any], after: list[Any], newest_listing_at: datetime, newest_at: datetime | None
) -> tuple[str, datetime]:
    last_seen_at: datetime = last["observed_at"]
    if last["status_code"] != "InProgress":
        known = {"Succeeded": "succeeded", "Failed": "failed"}
        return known.get(last["status_code"], last["status_code"]), last_seen_at
    if after:
        at, outcome, ended_at = min(after)
        if outcome == "gone":
            return "vault_gone", at
        return ("vanished" if ended_at - last_seen_at < DAY else "unknown_gap"), at
    if newest_listing_at - last_seen_at >= DAY:
        return "unknown_gap", newest_listing_at
    if newest_at is not None and newest_at - max(newest_listing_at, last_seen_at) >= DAY:
        return "stale", last_seen_at
    return "in_progress", last_seen_at


def outcomes_of(rows: pa.Table) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the rows of ``job_history`` in the form of :func:`expected_outcomes`."""
    columns = ["outcome", "as_of", "status_code", "first_seen_at", "last_seen_at", "observation_count"]
    found = {(row["vault_arn"], row["job_id"]): {name: row[name] for name in columns} for row in rows.to_pylist()}
    assert len(found) == rows.num_rows
    return found
