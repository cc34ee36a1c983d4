-- Question:  what became of each job, judged by all that has been observed up to now?
-- Grain:     one row a job.
-- Tables:    lives (as once.sql gives them), looks (of the vaults of open jobs).
-- Arguments: $newest_at, when the newest observation of all began.
-- Columns:   those of lives, and
--            duration_seconds  from creation to completion
--            bytes             the range that was retrieved, else the archive's size, else the inventory's
--            A job in progress whose vault could not be listed for 24 hours is an unknown_gap, until a listing shows
--            it again; one whose vault was not looked at for 24 hours, while observing went on, is stale.
-- Units:     seconds, bytes; timestamps in UTC.
WITH looked AS (
    SELECT vault_arn, max(looked_at) AS newest_look_at FROM looks GROUP BY vault_arn
),
judged AS (
    SELECT
        lives.*,
        greatest(looked.newest_look_at, lives.last_seen_at) AS newest_look_at,
        CASE
            WHEN fate <> 'in_progress' THEN fate
            WHEN looked.newest_look_at >= lives.last_seen_at + INTERVAL 24 HOURS THEN 'unknown_gap'
            WHEN $newest_at >= greatest(looked.newest_look_at, lives.last_seen_at) + INTERVAL 24 HOURS THEN 'stale'
            ELSE 'in_progress'
        END AS told_fate
    FROM lives LEFT JOIN looked USING (vault_arn)
)
SELECT
    * EXCLUDE (told_fate, newest_look_at)
      REPLACE (
          told_fate AS fate,
          CASE WHEN fate = 'in_progress' AND told_fate = 'unknown_gap' THEN newest_look_at ELSE as_of END AS as_of
      ),
    date_diff('microseconds', creation_date, completion_date) / 1e6 AS duration_seconds,
    coalesce(
        TRY_CAST(regexp_extract(retrieval_byte_range, '^(\d+)-(\d+)$', 2) AS BIGINT)
            - TRY_CAST(regexp_extract(retrieval_byte_range, '^(\d+)-(\d+)$', 1) AS BIGINT) + 1,
        archive_size_in_bytes,
        inventory_size_in_bytes
    ) AS bytes
FROM judged
