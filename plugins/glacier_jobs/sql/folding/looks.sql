-- Question:  when was which vault looked at, and with what outcome?
-- Grain:     one row a vault and look.
-- Tables:    carried_looks (looks of earlier days), known_vaults (vaults that may be gone though no row says so),
--            vaults and observations (raw, of the days in question).
-- Columns:   account_id, region, vault_name, vault_arn
--            observation_id  the observation that looked
--            looked_at       from when on the look counts: a listing shows every job that was there when it began;
--                            what was found gone or could not be listed was so when that was found
--            ended_at        when the look was over
--            outcome         listed, gone or failed. A vault that an observation of all vaults does not mention was
--                            gone when that observation began.
--            error           why it is gone or could not be listed
-- Units:     timestamps in UTC.
WITH known AS (
    SELECT account_id, region, vault_name, vault_arn FROM carried_looks
    UNION
    SELECT account_id, region, vault_name, vault_arn FROM known_vaults
    UNION
    SELECT account_id, region, vault_name, vault_arn FROM vaults
)
SELECT account_id, region, vault_name, vault_arn, observation_id, looked_at, ended_at, outcome, error FROM carried_looks
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
