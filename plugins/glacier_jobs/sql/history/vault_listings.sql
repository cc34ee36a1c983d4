-- Question:  when was each vault listed, and with which outcome?
-- Grain:     one row a vault and listing.
-- Tables:    carried_listings (listings of earlier days), known_vaults (vaults that may be gone without a row that says
--            so), vaults and observations (raw, of the days in question).
-- Columns:   account_id, region, vault_name, vault_arn
--            observation_id  the observation that the listing belongs to
--            looked_at       from when on the listing counts: a complete listing shows every job that existed when it
--                            began; a vault that was gone or could not be listed was so when that was found
--            ended_at        when the listing ended
--            outcome         listed, gone or failed. A vault that is missing from an observation of all vaults was gone
--                            when that observation began.
--            error           why it is gone or could not be listed
-- Units:     timestamps in UTC.
WITH known AS (
    SELECT account_id, region, vault_name, vault_arn FROM carried_listings
    UNION
    SELECT account_id, region, vault_name, vault_arn FROM known_vaults
    UNION
    SELECT account_id, region, vault_name, vault_arn FROM vaults
)
SELECT account_id, region, vault_name, vault_arn, observation_id, looked_at, ended_at, outcome, error FROM carried_listings
UNION
SELECT
    account_id, region, vault_name, vault_arn, observation_id,
    CASE outcome WHEN 'listed' THEN listing_began_at ELSE listing_ended_at END AS looked_at,
    listing_ended_at AS ended_at,
    outcome,
    error
FROM vaults
UNION
SELECT
    known.account_id, known.region, known.vault_name, known.vault_arn, observations.observation_id,
    observations.snapshot_at AS looked_at,
    observations.snapshot_at AS ended_at,
    'gone' AS outcome,
    NULL AS error
FROM observations
JOIN known USING (account_id, region)
ANTI JOIN vaults USING (observation_id, vault_arn)
WHERE observations.scope = 'all'
