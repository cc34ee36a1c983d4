-- Question:  what did each listing say of one job?
-- Grain:     one row an observation that showed the job, oldest first; of a job seen twice in one listing, the later
--            sight.
-- Tables:    sights (raw, of one job)
-- Arguments: $vault_arn, $job_id; $since, $until: of the observations that began at or after the one, and before the
--            other.
-- Columns:   all columns of the table jobs
-- Units:     bytes; timestamps in UTC.
SELECT *
FROM sights
WHERE vault_arn = $vault_arn AND job_id = $job_id AND snapshot_at >= $since AND snapshot_at < $until
ORDER BY observed_at, observation_id
