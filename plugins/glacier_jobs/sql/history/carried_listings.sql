-- Question:  which vault listings does the aggregation of the next day need?
-- Grain:     one row a vault and listing.
-- Tables:    vault_listings (result of vault_listings.sql), lifecycles (result of lifecycles.sql).
-- Arguments: $until, the moment at which the day ends.
-- Columns:   those of vault_listings. For each vault its newest listing of each outcome, and those that count only from
--            the next day on; none of a vault that is gone and has no open job.
WITH ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY vault_arn, outcome, looked_at < $until ORDER BY looked_at DESC, ended_at DESC, observation_id DESC
        ) AS newest
    FROM vault_listings
),
watched AS (
    SELECT vault_arn FROM vault_listings GROUP BY vault_arn
    HAVING max((looked_at, outcome))[2] <> 'gone' OR max(looked_at) >= $until
    UNION
    SELECT vault_arn FROM lifecycles WHERE NOT closed
)
SELECT account_id, region, vault_name, vault_arn, observation_id, looked_at, ended_at, outcome, error
FROM ranked
WHERE (newest = 1 OR looked_at >= $until) AND vault_arn IN (FROM watched)
ORDER BY vault_arn, looked_at, outcome, observation_id
