-- Question:  how many bytes were retrieved, by vault, action and tier?
-- Grain:     one row a UTC day of completion, vault, action and tier.
-- Tables:    history (result of history/outcomes.sql).
-- Arguments: $since, $until: jobs that completed at or after $since and before $until.
-- Columns:   day
--            account_id, region, vault_name
--            action, tier    a job without a tier counts as Standard
--            succeeded_jobs, bytes  jobs that succeeded on that day, and their bytes
--            failed_jobs     jobs that failed on that day
-- Units:     bytes (0 to 2^63 - 1): of the retrieved range, else of the archive or the inventory; days in UTC.
SELECT
    completion_date::DATE AS day,
    account_id,
    region,
    vault_name,
    action,
    coalesce(tier, 'Standard') AS tier,
    count(*) FILTER (outcome = 'succeeded') AS succeeded_jobs,
    least(greatest(coalesce(sum(bytes) FILTER (outcome = 'succeeded'), 0), 0), 9223372036854775807)::BIGINT AS bytes,
    count(*) FILTER (outcome = 'failed') AS failed_jobs
FROM history
WHERE outcome IN ('succeeded', 'failed') AND completion_date IS NOT NULL
    AND ($since IS NULL OR completion_date >= $since) AND ($until IS NULL OR completion_date < $until)
GROUP BY ALL
ORDER BY day, account_id, region, vault_name, action, tier
