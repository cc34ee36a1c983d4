-- Question:  which jobs failed recently, and what is Glacier's message?
-- Grain:     one row a job, the newest failure first.
-- Tables:    jobs (raw, of the observations since $now - $hours and some before)
-- Arguments: $now, $hours: how far back a job may have failed.
-- Columns:   failed_at       Glacier's completion date; where there is none, first_seen_failed_at
--            status_message  as Glacier sent it
--            account_id, region, vault_name, vault_arn, job_id, job_description, action, tier, archive_id
--            creation_date, completion_date
--            first_seen_failed_at, last_seen_at  when listings showed the failure within that time, also of an older one
-- Units:     timestamps in UTC.
WITH failed AS (
    SELECT
        vault_arn,
        job_id,
        min(observed_at) AS first_seen_failed_at,
        max(observed_at) AS last_seen_at,
        unnest(
            arg_max(
                {
                    account_id: account_id, region: region, vault_name: vault_name, status_message: status_message,
                    job_description: job_description, action: action, tier: tier, archive_id: archive_id,
                    creation_date: creation_date, completion_date: completion_date
                },
                (observed_at, observation_id)
            )
        )
    FROM jobs
    WHERE status_code = 'Failed' AND observed_at >= $now - to_microseconds(($hours * 3.6e9)::BIGINT)
    GROUP BY vault_arn, job_id
)
SELECT
    coalesce(completion_date, first_seen_failed_at) AS failed_at,
    status_message,
    account_id, region, vault_name, vault_arn, job_id, job_description, action, tier, archive_id,
    creation_date, completion_date,
    first_seen_failed_at, last_seen_at
FROM failed
WHERE coalesce(completion_date, first_seen_failed_at) >= $now - to_microseconds(($hours * 3.6e9)::BIGINT)
ORDER BY failed_at DESC, vault_arn, job_id
