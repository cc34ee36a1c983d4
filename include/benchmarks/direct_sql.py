"""The questions as DuckDB alone answers them: from the compacted files, and from the raw files of all other days.

This is a yardstick: the SQL of each question over views that a user would write for it. Only the files of the period of
the question are read, and only the columns that it needs. Unlike this package, the views do not judge what became of a
job that is not listed any more: its outcome is the status as last listed.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from glacier_jobs.reports import QUESTIONS
from glacier_jobs.sql.engine import statement

#: One row a job, as it was last listed. DuckDB computes only those columns that a question needs.
_HISTORY = """
    WITH newest AS (
        SELECT
            vault_arn, job_id,
            {newest},
            min(observed_at) AS first_seen_at, max(observed_at) AS last_seen_at,
            min(observed_at) FILTER (status_code = 'Failed') AS first_failed_at, count(*) AS observation_count
        FROM {jobs}
        GROUP BY vault_arn, job_id
    )
    SELECT
        *,
        CASE status_code
            WHEN 'Succeeded' THEN 'succeeded' WHEN 'Failed' THEN 'failed' WHEN 'InProgress' THEN 'in_progress'
            ELSE status_code
        END AS outcome,
        last_seen_at AS as_of,
        date_diff('microseconds', creation_date, completion_date) / 1e6 AS duration_seconds,
        coalesce(archive_size_in_bytes, inventory_size_in_bytes) AS bytes
    FROM newest
"""

#: The columns of a job of which its history has the newest value.
_NEWEST = (
    "account_id", "region", "vault_name", "action", "tier", "job_description", "archive_id", "retrieval_byte_range",
    "creation_date", "completion_date", "status_code", "status_message", "archive_size_in_bytes",
    "inventory_size_in_bytes",
)  # fmt: skip

_VAULT_LISTINGS = """
    SELECT
        account_id, region, vault_name, vault_arn, observation_id,
        CASE outcome WHEN 'listed' THEN listing_began_at ELSE listing_ended_at END AS listed_at,
        listing_ended_at AS ended_at, outcome, error
    FROM {vaults}
"""

_NEWEST_LISTINGS = """
    SELECT * FROM ({listings}) WHERE outcome = 'listed'
    QUALIFY row_number() OVER (PARTITION BY vault_arn ORDER BY observation_id DESC) = 1
"""


def answer(question: str, root: str, now: datetime, **given: Any) -> pa.Table:
    """Answer one question about a dataset on disk, with its default arguments.

    :param given: arguments in place of the defaults.
    """
    defaults = {**QUESTIONS[question].defaults, **given}
    arguments: dict[str, Any] = {
        name: now - value if isinstance(value, timedelta) else value for name, value in defaults.items()
    }
    since = now - timedelta(hours=arguments["hours"]) if "hours" in arguments else arguments.get("since")
    days = snapshot_days(root)
    # One more day, because a job counts for 24 hours after it completed.
    wanted = [day for day in days if since is None or day >= since.date() - timedelta(days=1)]
    jobs, vaults = (_files(root, table, wanted) for table in ("jobs", "vaults"))
    newest_jobs, newest_vaults = (_files(root, table, days[-1:]) for table in ("jobs", "vaults"))
    newest = ", ".join(f"max_by({column}, observed_at) AS {column}" for column in _NEWEST)
    present = f"TIMESTAMPTZ '{now.isoformat()}'"
    views = {
        "history": _HISTORY.format(jobs=jobs, newest=newest),
        "vault_listings": _VAULT_LISTINGS.format(vaults=vaults),
        "newest_listings": _NEWEST_LISTINGS.format(listings=_VAULT_LISTINGS.format(vaults=newest_vaults)),
        "jobs": f"FROM {newest_jobs}",
        # A view has no arguments.
        "latest_jobs": statement("latest_jobs").replace("$now", present),
        "expiring_outputs": statement("expiring_outputs").replace("$now", present).replace("$within_hours", "NULL"),
    }
    sql = statement(question)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, view in views.items():
            connection.execute(f"CREATE TEMP VIEW {name} AS {view}")
        given_now = {"now": now} if "$now" in sql else {}
        found: pa.Table = connection.sql(sql, params={**arguments, **given_now}).to_arrow_table()
    return found


def snapshot_days(root: str) -> list[date]:
    """Return the UTC dates of a dataset on disk, oldest first."""
    return sorted(date.fromisoformat(path.name.partition("=")[2]) for path in Path(root, "observations").iterdir())


def _files(root: str, table: str, days: list[date]) -> str:
    """Return the call that reads a table's rows of some days."""
    compacted = {day: Path(root, "compacted", table, f"snapshot_date={day}", f"{table}.parquet") for day in days}
    paths = [
        str(path if path.exists() else Path(root, table, f"snapshot_date={day}", "*.parquet"))
        for day, path in compacted.items()
    ]
    return f"read_parquet({paths!r}, hive_partitioning = false)"
