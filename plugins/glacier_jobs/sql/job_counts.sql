-- Question:  how many jobs are there, by vault, action, tier and status?
-- Grain:     one row a vault, action, tier and status that occur together in the newest listing of the vault; a vault
--            without jobs has no row.
-- Tables:    latest_jobs
-- Columns:   account_id, region, vault_name, vault_arn
--            action, tier, status_code  null where the job has none
--            jobs
-- Units:     jobs.
SELECT account_id, region, vault_name, vault_arn, action, tier, status_code, count(*) AS jobs
FROM latest_jobs
GROUP BY ALL
ORDER BY ALL
