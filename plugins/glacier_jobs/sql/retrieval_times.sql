-- Question:  how long do retrievals take?
-- Grain:     one row a UTC day of completion, action and tier.
-- Tables:    history (result of history/outcomes.sql).
-- Arguments: $since, $until: jobs that completed at or after $since and before $until.
-- Columns:   day
--            action, tier    a job without a tier counts as Standard
--            jobs            jobs that succeeded on that day
--            p50_seconds, p90_seconds, p99_seconds, max_seconds  of the time from creation to completion;
--                            percentiles are interpolated
-- Units:     seconds; days in UTC.
SELECT
    completion_date::DATE AS day,
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
ORDER BY day, action, tier
