-- Question:  which outputs have expired?
-- Grain:     one row a job that succeeded and whose output can no longer be downloaded, the last to expire first: it
--            completed 24 hours ago or earlier, and expiring_outputs does not have it.
--            Whether somebody downloaded the output before that is not known: Glacier does not list downloads.
-- Tables:    history (result of history/outcomes.sql), expiring_outputs (that question's answer, for all outputs)
-- Arguments: $now
--            $since, $until: outputs that expired at or after $since and before $until.
-- Columns:   expired_at      24 hours after the completion; without a completion date, 24 hours after last_seen_at. Glacier
--                            may have kept the output for longer.
--            account_id, region, vault_name, vault_arn, job_id, job_description, action, tier, archive_id
--            bytes           of the output: the range, else the archive's size, else the inventory's
--            creation_date, completion_date
--            last_seen_at    the last time that the job was listed
-- Units:     bytes; timestamps in UTC.
WITH outputs AS (
    SELECT *, coalesce(completion_date, last_seen_at) + INTERVAL 24 HOURS AS expired_at
    FROM history
    WHERE outcome = 'succeeded'
)
SELECT
    expired_at,
    account_id, region, vault_name, vault_arn, job_id, job_description, action, tier, archive_id,
    bytes,
    creation_date, completion_date,
    last_seen_at
FROM outputs
ANTI JOIN expiring_outputs USING (vault_arn, job_id)
WHERE expired_at <= $now
    AND ($since IS NULL OR expired_at >= $since) AND ($until IS NULL OR expired_at < $until)
ORDER BY expired_at DESC, vault_arn, job_id
