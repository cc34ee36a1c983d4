-- Question:  what do several summaries of jobs say together?
-- Grain:     one row a job.
-- Tables:    gathered (rows with the same columns, several of a job, each of other observations). A raw row of the table
--            jobs is the summary of one observation.
-- Columns:   account_id, region, vault_name, vault_arn, job_id
--            action, tier, job_description, archive_id, retrieval_byte_range, creation_date, completion_date,
--            status_code, status_message, archive_size_in_bytes, inventory_size_in_bytes: as last listed
--            first_seen_at, last_seen_at  the first and the last time that it was listed
--            first_failed_at     the first time that it was listed as failed; null if it was not
--            last_observation_id  the observation that listed it last
--            observation_count    the number of observations that listed it
-- Units:     bytes; timestamps in UTC.
WITH newest AS (
    SELECT
        vault_arn,
        job_id,
        min(first_seen_at) AS first_seen_at,
        min(first_failed_at) AS first_failed_at,
        max((last_seen_at, last_observation_id)) AS last,
        sum(observation_count)::BIGINT AS observation_count
    FROM gathered
    GROUP BY vault_arn, job_id
)
-- A join, because an aggregate that keeps whole rows takes many times as long.
SELECT
    account_id, region, vault_name, vault_arn, job_id, action, tier, job_description, archive_id,
    retrieval_byte_range, creation_date, completion_date, status_code, status_message, archive_size_in_bytes,
    inventory_size_in_bytes, newest.first_seen_at, newest.first_failed_at, last_seen_at, last_observation_id,
    newest.observation_count
FROM gathered
JOIN newest USING (vault_arn, job_id)
WHERE last_seen_at = last[1] AND last_observation_id = last[2]
