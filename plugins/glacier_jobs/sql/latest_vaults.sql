-- Question:  which vaults are there, how old is the newest listing of each, and how many jobs has it?
-- Grain:     one row a vault that was ever listed and is not known to be gone, those with most jobs first.
-- Tables:    newest_listings (for each vault the newest complete listing), latest_jobs
-- Arguments: $now
-- Columns:   account_id, region, vault_name, vault_arn
--            as_of, age_hours  start and age of that listing
--            in_progress, succeeded, failed  jobs that it showed
-- Units:     hours, jobs; timestamps in UTC.
WITH counted AS (
    SELECT
        vault_arn,
        count(*) FILTER (status_code = 'InProgress') AS in_progress,
        count(*) FILTER (status_code = 'Succeeded') AS succeeded,
        count(*) FILTER (status_code = 'Failed') AS failed
    FROM latest_jobs
    GROUP BY vault_arn
)
SELECT
    account_id, region, vault_name, vault_arn,
    listed_at AS as_of,
    greatest(date_diff('microseconds', listed_at, $now), 0) / 3.6e9 AS age_hours,
    coalesce(in_progress, 0) AS in_progress,
    coalesce(succeeded, 0) AS succeeded,
    coalesce(failed, 0) AS failed
FROM newest_listings
LEFT JOIN counted USING (vault_arn)
ORDER BY coalesce(in_progress + succeeded + failed, 0) DESC, account_id, region, vault_name
