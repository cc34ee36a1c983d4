"""The queries of the demo: the jobs by vault in the latest snapshots, and the archives of a vault."""

from __future__ import annotations

from dataclasses import dataclass
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

_ARCHIVES = """
select i.archives, i.size_in_bytes as inventory_bytes, a.archive_id, a.file_path, a.size_in_bytes, a.sha256_tree_hash,
    a.description_format
from read_parquet($archives) a
join (
    from read_parquet($inventories)
    where vault_name = $vault_name and scope = 'full'
    order by inventory_at desc, published_at desc
    limit 1
) i on i.rows_in = a.inventory_id
order by a.file_path
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


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An archive, by the newest inventory of its vault."""

    file_path: str
    size_in_bytes: int
    sha256_tree_hash: str


def archives_of(dataset: Path, vault_name: str, *, archive_id: str) -> tuple[str, Archive]:
    """Return the archives of a vault by its newest inventory, as text, and one of them."""
    files = {table: f"{dataset}/{table}/*/*.parquet" for table in ("archives", "inventories")}
    with duckdb.connect() as database:
        found = database.execute(_ARCHIVES, {**files, "vault_name": vault_name}).fetchall()
    archives, inventory_bytes = found[0][:2]
    by_id = {row[2]: Archive(file_path=row[3], size_in_bytes=row[4], sha256_tree_hash=row[5]) for row in found}
    shown = [("file_path", "description", "bytes"), *((row[3], row[6], str(row[4])) for row in found)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ["  " + "  ".join(_aligned(list(row), widths)) for row in shown]
    return "\n".join([*lines, f"\n  {archives} archives, {inventory_bytes} bytes.\n"]), by_id[archive_id]


def _aligned(row: list[str], widths: list[int]) -> list[str]:
    """Pad the cells of a row: the first two are names, the others numbers."""
    return [
        value.ljust(width) if position < 2 else value.rjust(width)
        for position, (value, width) in enumerate(zip(row, widths, strict=True))
    ]
