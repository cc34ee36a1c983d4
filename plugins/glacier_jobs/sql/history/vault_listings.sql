-- Question:  when was each vault listed, and with which outcome?
-- Grain:     one row a vault and listing.
-- Tables:    carried_listings (listings of earlier days), vaults and observations (raw, of the days in question).
-- Columns:   account_id, region, vault_name, vault_arn
--            observation_id  the observation that the listing belongs to
--            listed_at       from when on the listing counts: a complete listing shows every job that existed when it
--                            began; a vault that was gone or could not be listed was so when that was found
--            ended_at        when the listing ended
--            outcome         listed, gone or failed. A vault that is known from an older observation and missing from
--                            an observation of all vaults was gone when that observation began.
--            error           why it is gone or could not be listed
-- Units:     timestamps in UTC.
WITH known AS (
    -- The ids of an account and Region are in the order of time.
    SELECT account_id, region, vault_name, vault_arn, min(observation_id) AS first_observation_id
    FROM (
        SELECT account_id, region, vault_name, vault_arn, observation_id FROM carried_listings
        UNION ALL
        SELECT account_id, region, vault_name, vault_arn, observation_id FROM vaults
    )
    GROUP BY account_id, region, vault_name, vault_arn
)
SELECT account_id, region, vault_name, vault_arn, observation_id, listed_at, ended_at, outcome, error FROM carried_listings
UNION
SELECT
    account_id, region, vault_name, vault_arn, observation_id,
    CASE outcome WHEN 'listed' THEN listing_began_at ELSE listing_ended_at END AS listed_at,
    listing_ended_at AS ended_at,
    outcome,
    error
FROM vaults
UNION
SELECT
    known.account_id, known.region, known.vault_name, known.vault_arn, observations.observation_id,
    observations.snapshot_at AS listed_at,
    observations.snapshot_at AS ended_at,
    'gone' AS outcome,
    NULL AS error
FROM observations
JOIN known
    ON known.account_id = observations.account_id AND known.region = observations.region
    AND known.first_observation_id < observations.observation_id
ANTI JOIN vaults ON vaults.observation_id = observations.observation_id AND vaults.vault_arn = known.vault_arn
WHERE observations.scope = 'all'
