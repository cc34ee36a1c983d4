-- Question:  how much was moved, from which vault and how fast a tier?
-- Grain:     one row a UTC day of completion, vault, action and tier.
-- Tables:    history (the folded days and the open ones, as folding/told.sql gives them).
-- Arguments: $since, $until: jobs that were completed at or after the one and before the other.
-- Columns:   day
--            account_id, region, vault_name
--            action, tier    a job without a tier counts as Standard
--            jobs, bytes     of the jobs that succeeded on that day
--            failed_jobs     jobs that failed on that day
-- Units:     bytes: of the range that was retrieved, else of the archive or the inventory; days in UTC.
SELECT
    completion_date::DATE AS day,
    account_id,
    region,
    vault_name,
    action,
    coalesce(tier, 'Standard') AS tier,
    count(*) FILTER (fate = 'succeeded') AS jobs,
    coalesce(sum(bytes) FILTER (fate = 'succeeded'), 0)::BIGINT AS bytes,
    count(*) FILTER (fate = 'failed') AS failed_jobs
FROM history
WHERE fate IN ('succeeded', 'failed') AND completion_date IS NOT NULL
    AND ($since IS NULL OR completion_date >= $since) AND ($until IS NULL OR completion_date < $until)
GROUP BY ALL
ORDER BY day, account_id, region, vault_name, action, tier
