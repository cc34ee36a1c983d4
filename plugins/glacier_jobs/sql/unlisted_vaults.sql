-- Question:  which vaults could not be listed when they were last looked at, and why?
-- Grain:     one row a vault whose newest look failed, the one that went unlisted for longest first.
-- Tables:    looks (since $since, and before that the newest listing of each vault)
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
        arg_max(looks, (looked_at, outcome = 'listed', observation_id)) AS look,
        max(looked_at) FILTER (outcome = 'listed') AS listed_at,
        max(looked_at) FILTER (outcome = 'gone') AS gone_at
    FROM looks
    GROUP BY vault_arn
),
failed AS (
    SELECT look.*, listed_at, gone_at
    FROM newest
    WHERE look.outcome = 'failed' AND look.ended_at >= $since
),
counted AS (
    SELECT looks.vault_arn, count(*) AS failures
    FROM looks
    JOIN failed USING (vault_arn)
    WHERE looks.outcome = 'failed' AND (listed_at IS NULL OR looks.looked_at > listed_at)
        AND (gone_at IS NULL OR looks.looked_at > gone_at)
    GROUP BY looks.vault_arn
)
SELECT
    account_id, region, vault_name, vault_arn,
    ended_at AS failed_at,
    error,
    failures,
    listed_at,
    date_diff('microseconds', listed_at, $now) / 3.6e9 AS unlisted_hours
FROM failed
JOIN counted USING (vault_arn)
ORDER BY listed_at NULLS FIRST, vault_arn
