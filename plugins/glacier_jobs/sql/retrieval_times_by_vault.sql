-- Question:  how long do retrievals from each vault take?
-- Grain:     one row a vault, action and tier, over the whole period.
-- Tables:    history (result of history/outcomes.sql).
-- Arguments: $since, $until: jobs that completed at or after $since and before $until.
-- Columns:   account_id, region, vault_name
--            action, tier    a job without a tier counts as Standard
--            jobs            jobs that succeeded
--            p50_seconds, p90_seconds, p99_seconds, max_seconds  of the time from creation to completion;
--                            percentiles are interpolated
-- Units:     seconds.
SELECT
    account_id,
    region,
    vault_name,
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
ORDER BY account_id, region, vault_name, action, tier
