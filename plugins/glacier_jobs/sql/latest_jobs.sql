-- Question:  which jobs does each vault have, by its newest listing?
-- Grain:     one row a job of the newest observation that listed its vault. A vault that was not listed since is shown
--            as it was then, however long ago; a vault that is gone has no jobs.
-- Tables:    jobs (raw, of those observations), newest_listings (for each vault the newest complete listing, unless the
--            vault has gone since).
-- Arguments: $now
-- Columns:   as_of           when that listing of the vault began
--            age_hours       from then until now
--            and all columns of the table jobs
-- Units:     hours, bytes; timestamps in UTC.
SELECT
    newest_listings.listed_at AS as_of,
    greatest(date_diff('microseconds', newest_listings.listed_at, $now), 0) / 3.6e9 AS age_hours,
    jobs.*
FROM jobs
JOIN newest_listings USING (observation_id, vault_arn)
ORDER BY account_id, region, vault_name, creation_date DESC NULLS LAST, job_id
