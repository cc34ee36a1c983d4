-- Question:  how long do retrievals in each account and Region take?
-- Grain:     one row an account, Region, action and tier, over the whole period. The percentiles are those of all its
--            jobs: they cannot be computed from those of its vaults.
-- Tables:    history (result of history/outcomes.sql).
-- Arguments: $since, $until: jobs that completed at or after $since and before $until.
-- Columns:   account_id, region
--            action, tier    a job without a tier counts as Standard
--            jobs            jobs that succeeded
--            p50_seconds, p90_seconds, p99_seconds, max_seconds  of the time from creation to completion;
--                            percentiles are interpolated
-- Units:     seconds.
SELECT
    account_id,
    region,
    action,
    coalesce(tier, 'Standard') AS tier,
    count(*) AS jobs,
    quantile_cont(duration_seconds, 0.5) AS p50_seconds,
    quantile_cont(duration_seconds, 0.9) AS p90_seconds,
    quantile_cont(duration_seconds, 0.99) AS p99_seconds,
    max(duration_seconds) AS max_seconds
FROM history
WHERE outcome = 'succeeded' AND duration_seconds IS NOT NULL
    AND ($since IS NULL OR completion_date >= $since) AND ($until IS NULL OR completion_date < $until)
GROUP BY ALL
ORDER BY account_id, region, action, tier
