-- Question:  which accounts and Regions are there, how old are the newest listings of their vaults, and how many jobs have
--            they?
-- Grain:     one row an account and Region with at least one vault that was ever listed and is not known to be gone.
-- Tables:    newest_listings (for each vault the newest complete listing), latest_jobs
-- Arguments: $now
-- Columns:   account_id, region
--            vaults          number of those vaults
--            as_of, age_hours  start and age of the oldest of their newest listings
--            in_progress, succeeded, failed  jobs that those listings showed
-- Units:     hours, vaults, jobs; timestamps in UTC.
WITH counted AS (
    SELECT
        account_id,
        region,
        count(*) FILTER (status_code = 'InProgress') AS in_progress,
        count(*) FILTER (status_code = 'Succeeded') AS succeeded,
        count(*) FILTER (status_code = 'Failed') AS failed
    FROM latest_jobs
    GROUP BY ALL
),
listed AS (
    SELECT account_id, region, count(*) AS vaults, min(listed_at) AS as_of FROM newest_listings GROUP BY ALL
)
SELECT
    account_id, region,
    vaults,
    as_of,
    greatest(date_diff('microseconds', as_of, $now), 0) / 3.6e9 AS age_hours,
    coalesce(in_progress, 0) AS in_progress,
    coalesce(succeeded, 0) AS succeeded,
    coalesce(failed, 0) AS failed
FROM listed
LEFT JOIN counted USING (account_id, region)
ORDER BY account_id, region
