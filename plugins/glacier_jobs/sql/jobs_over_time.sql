-- Question:  how many jobs were there at each hour, by status?
-- Grain:     one row a UTC hour from $since to $until; no row if no job counts in any of them.
-- Tables:    history (result of history/outcomes.sql).
-- Arguments: $since, $until
-- Columns:   hour            when it begins
--            in_progress     jobs that were in progress when the hour ended. A job that a listing missed, or whose vault
--                            is not observed any more, counts up to when it was last listed.
--            succeeded, failed  jobs that completed within the 24 hours before the hour ended, for which Glacier keeps
--                            them at least
-- Units:     jobs; timestamps in UTC.
WITH dated AS MATERIALIZED (
    SELECT outcome, creation_date, completion_date, last_seen_at FROM history
),
spans AS (
    SELECT
        'in_progress' AS state,
        creation_date AS begins_at,
        CASE
            WHEN outcome = 'in_progress' THEN NULL
            WHEN outcome IN ('succeeded', 'failed') THEN coalesce(completion_date, last_seen_at)
            ELSE last_seen_at
        END AS ends_at
    FROM dated
    WHERE creation_date IS NOT NULL
    UNION ALL
    SELECT outcome, completion_date, completion_date + INTERVAL 24 HOURS
    FROM dated
    WHERE outcome IN ('succeeded', 'failed') AND completion_date IS NOT NULL
),
changes AS (
    SELECT greatest(date_trunc('hour', begins_at), date_trunc('hour', $since)) AS hour, state, 1 AS change
    FROM spans WHERE begins_at < $until AND (ends_at IS NULL OR date_trunc('hour', ends_at) >= date_trunc('hour', $since))
    UNION ALL
    SELECT date_trunc('hour', ends_at), state, -1
    FROM spans WHERE begins_at < $until AND ends_at < $until AND date_trunc('hour', ends_at) >= date_trunc('hour', $since)
),
hours AS (
    SELECT unnest(generate_series(date_trunc('hour', $since), $until - INTERVAL 1 MICROSECOND, INTERVAL 1 HOUR)) AS hour
),
summed AS (
    SELECT
        hour,
        sum(change) FILTER (state = 'in_progress') AS in_progress,
        sum(change) FILTER (state = 'succeeded') AS succeeded,
        sum(change) FILTER (state = 'failed') AS failed
    FROM changes GROUP BY hour
)
SELECT
    hour,
    (sum(coalesce(in_progress, 0)) OVER so_far)::BIGINT AS in_progress,
    (sum(coalesce(succeeded, 0)) OVER so_far)::BIGINT AS succeeded,
    (sum(coalesce(failed, 0)) OVER so_far)::BIGINT AS failed
FROM hours LEFT JOIN summed USING (hour)
WHERE EXISTS (FROM changes)
WINDOW so_far AS (ORDER BY hour)
ORDER BY hour
