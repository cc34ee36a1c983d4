from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.clients import BASELINE_FILE, OUR_DATASET
from benchmarks.listing import large_aws, one_long_vault
from benchmarks.measuring import measure


def test_all_clients_list_the_same_jobs_and_ours_and_the_baseline_write_them(tmp_path: Path) -> None:
    with large_aws(vaults=2, jobs=120) as local_aws:
        usages = {
            client: measure(client, endpoint=local_aws.endpoint, vaults=2, folder=tmp_path / client)
            for client in ("minimal", "baseline", "ours")
        }

    assert {usage.jobs for usage in usages.values()} == {240}
    [ours] = (tmp_path / "ours" / OUR_DATASET / "jobs").rglob("*.parquet")
    assert (
        set(pq.read_table(ours, partitioning=None)["job_id"].to_pylist())
        == set(pq.read_table(tmp_path / "baseline" / BASELINE_FILE)["JobId"].to_pylist())
        != set()
    )


def test_a_benchmark_yields_figures(tmp_path: Path) -> None:
    figures = list(one_long_vault(tmp_path, jobs=100, turns=1))

    assert [figure.other_name for figure in figures] == ["urllib3, unsigned, nothing written"] * 2
    assert all(figure.ours > 0 and figure.other > 0 for figure in figures)
