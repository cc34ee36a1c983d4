-- Question:  which outputs must be downloaded, and by when?
-- Grain:     one row a job that succeeded and that Glacier still has, or may still have: first those that can still be
--            downloaded, the soonest to expire first; then those that expire at an unknown time; last those that are
--            overdue, for the shortest time first.
-- Tables:    latest_jobs
-- Arguments: $now, $within_hours: only outputs with fewer hours left; null for all.
-- Columns:   hours_left      until Glacier may drop the job with its output: 24 hours after its completion. Zero or
--                            below, it may be gone, though the listing at as_of still showed it.
--            expires_at      that moment
--            as_of, age_hours  start and age of the listing
--            account_id, region, vault_name, vault_arn, job_id, job_description, action, tier, archive_id
--            bytes           of the output: the range, else the archive's size, else the inventory's
--            creation_date, completion_date
-- Units:     hours, bytes; timestamps in UTC.
WITH outputs AS (
    SELECT
        completion_date + INTERVAL 24 HOURS AS expires_at,
        coalesce(
            TRY(
                TRY_CAST(regexp_extract(retrieval_byte_range, '^(\d+)-(\d+)$', 2) AS BIGINT)
                    - TRY_CAST(regexp_extract(retrieval_byte_range, '^(\d+)-(\d+)$', 1) AS BIGINT) + 1
            ),
            archive_size_in_bytes,
            inventory_size_in_bytes
        ) AS bytes,
        *
    FROM latest_jobs
    WHERE status_code = 'Succeeded'
)
SELECT
    date_diff('microseconds', $now, expires_at) / 3.6e9 AS hours_left,
    expires_at,
    as_of, age_hours,
    account_id, region, vault_name, vault_arn, job_id, job_description, action, tier, archive_id,
    bytes,
    creation_date, completion_date
FROM outputs
WHERE
    -- Overdue, but listed after that and not long ago: it may still exist.
    (expires_at IS NULL OR expires_at > $now OR (as_of >= expires_at AND age_hours < 24))
    AND ($within_hours IS NULL OR expires_at < $now + to_microseconds(($within_hours * 3.6e9)::BIGINT))
ORDER BY
    CASE WHEN hours_left > 0 THEN 0 WHEN hours_left IS NULL THEN 1 ELSE 2 END,
    abs(hours_left), vault_arn, job_id
