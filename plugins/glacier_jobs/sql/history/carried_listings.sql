-- Question:  which vault listings does the aggregation of the next day need?
-- Grain:     one row a vault and listing.
-- Tables:    vault_listings (result of vault_listings.sql), lifecycles (result of lifecycles.sql).
-- Arguments: $until, the moment at which the day ends.
-- Columns:   those of vault_listings. For each vault and outcome the newest listing and that of the newest observation,
--            and the listings that count only from the next day on; none of a vault that is gone and has no open job.
WITH ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY vault_arn, outcome, listed_at < $until
            ORDER BY listed_at DESC, ended_at DESC, observation_id DESC
        ) AS newest,
        row_number() OVER (PARTITION BY vault_arn, outcome ORDER BY observation_id DESC) AS newest_observation
    FROM vault_listings
),
watched AS (
    SELECT vault_arn FROM vault_listings GROUP BY vault_arn
    HAVING max((listed_at, outcome))[2] <> 'gone' OR max((observation_id, outcome))[2] <> 'gone'
        OR max(listed_at) >= $until
    UNION
    SELECT vault_arn FROM lifecycles WHERE NOT closed
)
SELECT account_id, region, vault_name, vault_arn, observation_id, listed_at, ended_at, outcome, error
FROM ranked
WHERE (newest = 1 OR newest_observation = 1 OR listed_at >= $until) AND vault_arn IN (FROM watched)
ORDER BY vault_arn, listed_at, outcome, observation_id
