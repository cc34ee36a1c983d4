-- Question:  what is the outcome of each job that was ever listed?
-- Grain:     one row a job.
-- Tables:    history (result of history/outcomes.sql).
-- Arguments: $since, $until: jobs that were listed at or after $since and before $until.
-- Columns:   account_id, region, vault_name, vault_arn, job_id
--            outcome         in_progress  when it was last listed, at as_of
--                            succeeded, failed
--                            vault_gone   last listed in progress, and then its vault was gone
--                            vanished     last listed in progress, and a complete listing within 24 hours did not show it
--                            unknown_gap  last listed in progress, and then its vault was not listed for 24 hours or more
--                            stale        last listed in progress, and its vault is not observed any more
--                            any other    the status as last listed, which this version does not know
--            as_of           the newest listing that the outcome is based on
--            action, tier, job_description, archive_id, retrieval_byte_range
--            creation_date, completion_date, duration_seconds (between them)
--            bytes           the retrieved range, else the archive's size, else the inventory's
--            status_code, status_message as last listed
--            first_seen_at, last_seen_at  the first and the last time that it was listed
--            observation_count  the number of observations that listed it
-- Units:     seconds, bytes; timestamps in UTC.
SELECT
    account_id, region, vault_name, vault_arn, job_id,
    outcome, as_of,
    action, tier, job_description, archive_id, retrieval_byte_range,
    creation_date, completion_date, duration_seconds,
    bytes,
    status_code, status_message,
    first_seen_at, last_seen_at, observation_count
FROM history
WHERE ($since IS NULL OR last_seen_at >= $since) AND ($until IS NULL OR first_seen_at < $until)
ORDER BY creation_date DESC NULLS LAST, vault_arn, job_id
