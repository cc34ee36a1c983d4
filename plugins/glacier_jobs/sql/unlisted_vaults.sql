-- Question:  for which vaults did the newest listing fail, and why?
-- Grain:     one row a vault whose newest listing failed, the one without a complete listing for longest first.
-- Tables:    vault_listings (since $since, and before that the newest complete listing of each vault)
-- Arguments: $now, $since: a vault without any listing since then is left out.
-- Columns:   account_id, region, vault_name, vault_arn
--            failed_at       when that listing ended
--            error           the error it ended with
--            failures        number of failed listings since the last complete one, or since $since
--            listed_at       when the last complete listing began; null where none is known, also not of a vault that was
--                            gone since and exists again
--            unlisted_hours  from then until now
-- Units:     hours; timestamps in UTC.
WITH newest AS (
    SELECT
        vault_arn,
        arg_max(vault_listings, (listed_at, outcome = 'listed', observation_id)) AS listing,
        max(listed_at) FILTER (outcome = 'listed') AS listed_at,
        max(listed_at) FILTER (outcome = 'gone') AS gone_at
    FROM vault_listings
    GROUP BY vault_arn
),
failed AS (
    SELECT
        listing.* EXCLUDE (listed_at),
        CASE WHEN gone_at IS NULL OR listed_at > gone_at THEN listed_at END AS listed_at,
        greatest(listed_at, gone_at) AS after
    FROM newest
    WHERE listing.outcome = 'failed' AND listing.ended_at >= $since
),
counted AS (
    SELECT vault_listings.vault_arn, count(*) AS failures
    FROM vault_listings
    JOIN failed USING (vault_arn)
    WHERE vault_listings.outcome = 'failed' AND vault_listings.ended_at >= $since
        AND (after IS NULL OR vault_listings.listed_at > after)
    GROUP BY vault_listings.vault_arn
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
