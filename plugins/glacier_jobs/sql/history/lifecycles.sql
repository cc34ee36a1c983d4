-- Question:  what is the outcome of each job, as far as the days up to now show?
-- Grain:     one row a job.
-- Tables:    gathered (as for merged_summaries.sql), merged (its result), vault_listings (result of vault_listings.sql).
-- Arguments: $until, the moment at which the days in question end: later listings do not count yet.
-- Columns:   those of merged, and
--            outcome         as in job_history
--            as_of           the newest listing that the outcome is based on
--            closed          whether the job is complete: a listing has missed it, so Glacier has dropped it; or it was in
--                            progress no more, and no listing has shown it for seven days
-- Units:     bytes; timestamps in UTC.
WITH evidence AS (
    SELECT vault_arn, listed_at, min((outcome, ended_at)) AS listing
    FROM vault_listings
    WHERE outcome IN ('listed', 'gone') AND listed_at < $until
    GROUP BY vault_arn, listed_at
),
-- The first listing of the vault after a job was last listed. The pages of listings are far fewer than the jobs on them.
missed AS (
    SELECT pages.vault_arn, pages.last_seen_at, evidence.listed_at, evidence.listing
    FROM (SELECT DISTINCT vault_arn, last_seen_at FROM gathered) AS pages
    ASOF JOIN evidence ON pages.vault_arn = evidence.vault_arn AND pages.last_seen_at < evidence.listed_at
),
judged AS (
    SELECT
        merged.*,
        missed.listed_at AS missed_at,
        CASE
            WHEN merged.status_code = 'Succeeded' THEN 'succeeded'
            WHEN merged.status_code = 'Failed' THEN 'failed'
            -- What a status means that Glacier adds later is not known. Without a status, a job is in progress.
            WHEN merged.status_code <> 'InProgress' THEN merged.status_code
            WHEN missed.listed_at IS NULL THEN 'in_progress'
            WHEN missed.listing[1] = 'gone' THEN 'vault_gone'
            -- Had it completed right after it was last listed, Glacier would still have to list it.
            WHEN missed.listing[2] < merged.last_seen_at + INTERVAL 24 HOURS THEN 'vanished'
            ELSE 'unknown_gap'
        END AS outcome
    FROM merged LEFT JOIN missed USING (vault_arn, last_seen_at)
)
SELECT
    account_id, region, vault_name, vault_arn, job_id, action, tier, job_description, archive_id,
    retrieval_byte_range, creation_date, completion_date, status_code, status_message, archive_size_in_bytes,
    inventory_size_in_bytes, first_seen_at, first_failed_at, last_seen_at, last_observation_id, observation_count,
    outcome,
    CASE WHEN outcome IN ('vault_gone', 'vanished', 'unknown_gap') THEN missed_at ELSE last_seen_at END AS as_of,
    missed_at IS NOT NULL OR (outcome <> 'in_progress' AND last_seen_at < $until - INTERVAL 7 DAYS) AS closed
FROM judged
