-- Question:  which jobs take longer than typical?
-- Grain:     one row a job in progress for longer than typical of its tier and size, the most overdue first.
-- Tables:    latest_jobs
-- Arguments: $expedited_minutes, $standard_hours, $bulk_hours: the longest typical times.
--            $expedited_max_bytes: a larger Expedited retrieval has no typical time of its own; it counts as Standard.
-- Columns:   overdue_hours   beyond the typical time, at as_of
--            running_hours   since its creation, at as_of
--            typical_hours   for its tier and size
--            as_of, age_hours  of the listing
--            account_id, region, vault_name, vault_arn, job_id, job_description, action
--            tier            a job without a tier counts as Standard
--            archive_id, bytes, creation_date
-- Units:     hours, bytes; timestamps in UTC.
-- Source:    Amazon Glacier developer guide, archive retrieval options.
WITH running AS (
    SELECT
        * REPLACE (coalesce(tier, 'Standard') AS tier),
        date_diff('microseconds', creation_date, as_of) / 3.6e9 AS running_hours,
        coalesce(
            TRY(
                TRY_CAST(regexp_extract(retrieval_byte_range, '^(\d+)-(\d+)$', 2) AS BIGINT)
                    - TRY_CAST(regexp_extract(retrieval_byte_range, '^(\d+)-(\d+)$', 1) AS BIGINT) + 1
            ),
            archive_size_in_bytes,
            inventory_size_in_bytes
        ) AS bytes
    FROM latest_jobs
    WHERE status_code = 'InProgress'
),
compared AS (
    SELECT
        *,
        CASE
            WHEN tier = 'Expedited' AND (archive_size_in_bytes IS NULL OR archive_size_in_bytes <= $expedited_max_bytes)
                THEN $expedited_minutes / 60.0
            WHEN tier = 'Bulk' THEN $bulk_hours
            ELSE $standard_hours
        END::DOUBLE AS typical_hours
    FROM running
)
SELECT
    running_hours - typical_hours AS overdue_hours,
    running_hours,
    typical_hours,
    as_of, age_hours,
    account_id, region, vault_name, vault_arn, job_id, job_description, action,
    tier,
    archive_id, bytes, creation_date
FROM compared
WHERE running_hours > typical_hours
ORDER BY overdue_hours DESC, vault_arn, job_id
