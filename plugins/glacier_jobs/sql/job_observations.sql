-- Question:  what did each observation show of one job?
-- Grain:     one row an observation that showed the job, oldest first.
-- Tables:    jobs (raw, of one job)
-- Arguments: $vault_arn, $job_id; $since, $until: observations that began at or after $since and before $until.
-- Columns:   all columns of the table jobs
-- Units:     bytes; timestamps in UTC.
SELECT *
FROM jobs
WHERE vault_arn = $vault_arn AND job_id = $job_id AND snapshot_at >= $since AND snapshot_at < $until
ORDER BY observed_at, observation_id
