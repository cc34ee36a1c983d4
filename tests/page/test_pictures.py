from __future__ import annotations

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.page.pictures import VAULTS_SHOWN
from tests.hand_written import job, observe
from tests.page.conftest import NOW, Ask, ago


def test_jobs_by_status_are_given_for_each_hour(ask: Ask, dataset: Dataset) -> None:
    observe(dataset, ago(4), {"photos": [job("a", created=ago(5)), job("b", created=ago(5))]})
    done = job("a", "Succeeded", created=ago(5), completed=ago(3))
    observe(dataset, ago(1), {"photos": [done, job("b", created=ago(5))]})

    hours = ask("pictures")["jobs_over_time"]

    assert len(hours) in (7 * 24, 7 * 24 + 1)
    assert {name: hours[-1][name] for name in ("in_progress", "succeeded", "failed")} == {
        "in_progress": 1,
        "succeeded": 1,
        "failed": 0,
    }


def test_the_times_are_given_in_which_no_vault_was_listed(ask: Ask, dataset: Dataset) -> None:
    for hours in range(7 * 24, 0, -1):
        if not 30 < hours < 60:
            observe(dataset, ago(hours), {"photos": [job("a", created=ago(500))]})

    not_observed = ask("pictures")["not_observed"]

    [gap] = not_observed["gaps"]
    first, last = (ago(hours).replace(minute=0, second=0, microsecond=0) for hours in (59, 30))
    assert (not_observed["hours"], gap) == (3, {"from": f"{first:%FT%TZ}", "to": f"{last:%FT%TZ}"})


def test_retrieval_times_are_given_by_day_and_tier(ask: Ask, dataset: Dataset) -> None:
    done = [job(f"{hours}", "Succeeded", created=ago(1 + hours), completed=ago(1), Tier="Bulk") for hours in (5, 7)]
    observe(dataset, ago(0.5), {"photos": done})

    [row] = ask("pictures")["retrieval_times"]

    assert (row["day"], row["tier"], row["jobs"]) == (ago(1).date().isoformat(), "Bulk", 2)
    assert (row["p50_seconds"], row["max_seconds"]) == (6 * 3600, 7 * 3600)


def test_the_largest_vaults_have_a_series_each_and_the_others_are_summed_up(ask: Ask, dataset: Dataset) -> None:
    count = VAULTS_SHOWN + 3
    observe(
        dataset,
        ago(0.5),
        {
            f"vault-{size:02d}": [
                job("a", "Succeeded", created=ago(2), completed=NOW, ArchiveSizeInBytes=size),
            ]
            for size in range(1, count + 1)
        },
    )

    volume = ask("pictures")["volume"]

    assert [vault["vault_name"] for vault in volume["vaults"]] == [
        f"vault-{size:02d}" for size in range(count, count - VAULTS_SHOWN, -1)
    ]
    by_vault = {row["vault"]: (row["jobs"], row["bytes"]) for row in volume["rows"]}
    assert by_vault[0] == (1, count)
    assert by_vault[None] == (3, 1 + 2 + 3)
    assert volume["others"] == 3


def test_a_day_with_far_more_bytes_is_cut_at_the_axis_limit(ask: Ask, dataset: Dataset) -> None:
    sizes = dict.fromkeys(range(1, 8), 10**9) | {4: 10**12}
    for days, size in sizes.items():
        done = job(f"{days}", "Succeeded", created=ago(24 * days + 5), completed=ago(24 * days))
        observe(dataset, ago(24 * days - 1), {"photos": [{**done, "ArchiveSizeInBytes": size}]})

    limits = ask("pictures")["limits"]

    assert limits["volume"] == {"top": 10**9, "cuts": [{"at": [ago(24 * 4).date().isoformat()], "most": 10**12}]}
    assert limits["jobs_over_time"] is None


def test_without_history_there_are_no_rows(ask: Ask, dataset: Dataset) -> None:
    observe(dataset, ago(1), {"photos": []})

    pictures = ask("pictures")

    assert (pictures["jobs_over_time"], pictures["retrieval_times"], pictures["volume"]["rows"]) == ([], [], [])
