-- Question:  how was each job of the last days last seen?
-- Grain:     one row a job that is not closed, or that was closed on the newest aggregated day or later.
-- Tables:    history (result of history/outcomes.sql, of these days).
-- Arguments: $made_at
-- Columns:   account_id, region, vault_name, vault_arn, job_id
--            outcome         as in job_history
--            outcome_as_of   the newest listing that the outcome is based on
--            action, tier, job_description, archive_id, retrieval_byte_range
--            creation_date, completion_date, duration_seconds (between them)
--            bytes           the retrieved range, else the archive's size, else the inventory's
--            expires_at      until when Glacier keeps the output of a job that succeeded: 24 hours after its completion
--            status_code, status_message as last listed
--            first_seen_at, first_failed_at, last_seen_at  when it was first listed, first listed as failed, last listed
--            last_observation_id  the observation that listed it last
--            observation_count    the number of observations that listed it
--            made_at         when this table was made
-- Units:     seconds, bytes; timestamps in UTC.
SELECT
    account_id, region, vault_name, vault_arn, job_id,
    outcome, as_of AS outcome_as_of,
    action, tier, job_description, archive_id, retrieval_byte_range,
    creation_date, completion_date, duration_seconds,
    bytes,
    CASE outcome WHEN 'succeeded' THEN completion_date + INTERVAL 24 HOURS END AS expires_at,
    status_code, status_message,
    first_seen_at, first_failed_at, last_seen_at, last_observation_id, observation_count,
    $made_at::TIMESTAMPTZ AS made_at
FROM history
ORDER BY vault_arn, job_id
