-- Question:  what is the outcome of each job, by all observations up to now?
-- Grain:     that of lifecycles: one row a job that is not closed, or one for each time that a job was closed.
-- Tables:    lifecycles (result of lifecycles.sql), vault_listings (of the vaults of jobs that are not closed).
-- Arguments: $newest_at, when the newest observation of all began.
-- Columns:   those of lifecycles, and
--            duration_seconds  from creation to completion
--            bytes             the retrieved range, else the archive's size, else the inventory's
--            A job in progress whose vault could not be listed for 24 hours is an unknown_gap, until a listing shows
--            it again. One whose vault was not observed for 24 hours, while other vaults were, is stale.
-- Units:     seconds, bytes; timestamps in UTC.
WITH newest AS (
    SELECT vault_arn, max(listed_at) AS newest_listing_at FROM vault_listings GROUP BY vault_arn
),
judged AS (
    SELECT
        lifecycles.*,
        greatest(newest.newest_listing_at, lifecycles.last_seen_at) AS newest_listing_at,
        CASE
            WHEN outcome <> 'in_progress' THEN outcome
            WHEN newest.newest_listing_at >= lifecycles.last_seen_at + INTERVAL 24 HOURS THEN 'unknown_gap'
            WHEN $newest_at >= greatest(newest.newest_listing_at, lifecycles.last_seen_at) + INTERVAL 24 HOURS THEN 'stale'
            ELSE 'in_progress'
        END AS current_outcome
    FROM lifecycles LEFT JOIN newest USING (vault_arn)
)
SELECT
    * EXCLUDE (current_outcome, newest_listing_at)
      REPLACE (
          current_outcome AS outcome,
          CASE WHEN outcome = 'in_progress' AND current_outcome = 'unknown_gap' THEN newest_listing_at ELSE as_of END AS as_of
      ),
    date_diff('microseconds', creation_date, completion_date) / 1e6 AS duration_seconds,
    coalesce(
        TRY(
            TRY_CAST(regexp_extract(retrieval_byte_range, '^(\d+)-(\d+)$', 2) AS BIGINT)
                - TRY_CAST(regexp_extract(retrieval_byte_range, '^(\d+)-(\d+)$', 1) AS BIGINT) + 1
        ),
        archive_size_in_bytes,
        inventory_size_in_bytes
    ) AS bytes
FROM judged
