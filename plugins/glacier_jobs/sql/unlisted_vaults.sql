-- Question:  which vaults could not be listed when they were last looked at, and why?
-- Grain:     one row a vault whose newest look failed, the one that went unlisted for longest first.
-- Tables:    looks (since $since, and before that the newest listing of each vault), failed_vaults (the raw rows of
--            the failed looks since then)
-- Arguments: $now, $since: a vault that nobody has looked at from then on is not told.
-- Columns:   account_id, region, vault_name, vault_arn
--            failed_at       when that look was over
--            error           what it ended in
--            failures        how many looks failed since the last listing, or since $since
--            listed_at       when the last listing began; null where none is known
--            unlisted_hours  from then until now
-- Units:     hours; timestamps in UTC.
WITH newest AS (
    SELECT
        vault_arn,
        arg_max(outcome, (looked_at, outcome = 'listed', observation_id)) AS outcome,
        arg_max(observation_id, (looked_at, outcome = 'listed', observation_id)) AS observation_id,
        max(looked_at) FILTER (outcome = 'listed') AS listed_at,
        max(looked_at) FILTER (outcome = 'gone') AS gone_at
    FROM looks
    GROUP BY vault_arn
),
counted AS (
    SELECT looks.vault_arn, count(*) AS failures
    FROM looks
    JOIN newest USING (vault_arn)
    WHERE looks.outcome = 'failed' AND (listed_at IS NULL OR looked_at > listed_at)
        AND (gone_at IS NULL OR looked_at > gone_at)
    GROUP BY looks.vault_arn
)
SELECT
    failed_vaults.account_id, failed_vaults.region, failed_vaults.vault_name, vault_arn,
    failed_vaults.listing_ended_at AS failed_at,
    failed_vaults.error,
    counted.failures,
    newest.listed_at,
    date_diff('microseconds', newest.listed_at, $now) / 3.6e9 AS unlisted_hours
FROM newest
JOIN failed_vaults USING (vault_arn, observation_id)
JOIN counted USING (vault_arn)
WHERE newest.outcome = 'failed' AND failed_vaults.listing_ended_at >= $since
ORDER BY newest.listed_at NULLS FIRST, vault_arn
