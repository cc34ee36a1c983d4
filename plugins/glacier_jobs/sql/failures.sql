-- Question:  which jobs failed recently, and what is Glacier's message?
-- Grain:     one row a job, the newest failure first.
-- Tables:    history (result of history/outcomes.sql).
-- Arguments: $now, $hours: how far back a job may have failed.
-- Columns:   failed_at       Glacier's completion date; where there is none, first_failed_at
--            status_message  as Glacier sent it
--            account_id, region, vault_name, vault_arn, job_id, job_description, action, tier, archive_id
--            creation_date, completion_date
--            first_failed_at when a listing first showed that it had failed
--            last_seen_at    when it was last listed
-- Units:     timestamps in UTC.
SELECT
    coalesce(completion_date, first_failed_at) AS failed_at,
    status_message,
    account_id, region, vault_name, vault_arn, job_id, job_description, action, tier, archive_id,
    creation_date, completion_date,
    first_failed_at, last_seen_at
FROM history
WHERE outcome = 'failed'
    AND coalesce(completion_date, first_failed_at) >= $now - to_microseconds(($hours * 3.6e9)::BIGINT)
ORDER BY failed_at DESC, vault_arn, job_id
