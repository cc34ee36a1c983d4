"""The query of the demo: the number of jobs by vault and status in the latest snapshots."""

from __future__ import annotations

from pathlib import Path

import duckdb

_JOBS_BY_VAULT = """
with latest as (
    select account_id, region, max_by(observation_id, snapshot_at) as observation_id
    from read_parquet($observations)
    group by all
)
select
    v.region,
    v.vault_name as vault,
    count(j.job_id) as jobs,
    count(*) filter (j.status_code = 'InProgress') as in_progress,
    count(*) filter (j.status_code = 'Succeeded') as succeeded,
    count(*) filter (j.status_code = 'Failed') as failed
from read_parquet($vaults) v
semi join latest using (observation_id)
left join read_parquet($jobs) j on j.observation_id = v.observation_id and j.vault_name = v.vault_name
group by v.account_id, v.region, v.vault_name
order by v.region desc, v.vault_name
"""

_SNAPSHOTS = "select count(*) from read_parquet($observations)"


def jobs_by_vault(dataset: Path) -> str:
    """Return the jobs by vault and status in the latest committed snapshot of each Region, as text."""
    files = {table: f"{dataset}/{table}/*/*.parquet" for table in ("jobs", "vaults", "observations")}
    with duckdb.connect() as database:
        vaults = database.execute(_JOBS_BY_VAULT, files).fetchall()
        names = [column[0] for column in database.description or []]
        [[snapshots]] = database.execute(_SNAPSHOTS, {"observations": files["observations"]}).fetchall()
    # Not the sum over all snapshots: they list most jobs again.
    jobs = sum(vault[names.index("jobs")] for vault in vaults)
    rows = [names, *([str(value) for value in row] for row in vaults)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  " + "  ".join(_aligned(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, f"\n  {jobs} jobs. The dataset has {snapshots} committed snapshots.\n"])


def _aligned(row: list[str], widths: list[int]) -> list[str]:
    """Pad the cells of a row: the first two are names, the others numbers."""
    return [
        value.ljust(width) if position < 2 else value.rjust(width)
        for position, (value, width) in enumerate(zip(row, widths, strict=True))
    ]
