-- Question:  which looks must the next day know of?
-- Grain:     one row a vault and look.
-- Tables:    looks (as looks.sql gives them), lives (as lives.sql gives them).
-- Arguments: $until, the moment at which the day ends.
-- Columns:   those of looks. Of each vault its newest look of every outcome, and those that count only from the next
--            day on; none of a vault that is gone and has no open job.
WITH ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY vault_arn, outcome, looked_at < $until ORDER BY looked_at DESC, ended_at DESC, observation_id DESC
        ) AS newest
    FROM looks
),
watched AS (
    SELECT vault_arn FROM looks GROUP BY vault_arn
    HAVING max((looked_at, outcome))[2] <> 'gone' OR max(looked_at) >= $until
    UNION
    SELECT vault_arn FROM lives WHERE NOT closed
)
SELECT account_id, region, vault_name, vault_arn, observation_id, looked_at, ended_at, outcome, error
FROM ranked
WHERE (newest = 1 OR looked_at >= $until) AND vault_arn IN (FROM watched)
ORDER BY vault_arn, looked_at, outcome, observation_id
