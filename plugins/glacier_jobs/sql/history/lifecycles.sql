-- Question:  what is the outcome of each job, as far as the days up to now show?
-- Grain:     one row a job.
-- Tables:    open_jobs (rows with the same columns, of the jobs still open at the end of the day before), jobs (raw rows
--            of the table jobs, of the days in question), vault_listings (result of vault_listings.sql).
-- Arguments: $until, the moment at which the days in question end: later listings do not count yet.
-- Columns:   those of job_history, and
--            closed          whether no further listing can change this row
-- Units:     bytes; timestamps in UTC.
WITH seen AS (
    SELECT
        vault_arn,
        job_id,
        min(observed_at) AS first_seen_at,
        max(observed_at) AS last_seen_at,
        count(*) AS sightings,
        arg_max(
            {
                account_id: account_id, region: region, vault_name: vault_name, action: action, tier: tier,
                job_description: job_description, archive_id: archive_id, retrieval_byte_range: retrieval_byte_range,
                creation_date: creation_date, completion_date: completion_date, status_code: status_code,
                status_message: status_message, archive_size_in_bytes: archive_size_in_bytes,
                inventory_size_in_bytes: inventory_size_in_bytes, last_observation_id: observation_id
            },
            (observed_at, observation_id)
        ) AS last
    FROM jobs
    GROUP BY vault_arn, job_id
),
gathered AS (
    SELECT vault_arn, job_id, first_seen_at, last_seen_at, sightings, last FROM seen
    UNION ALL
    SELECT
        vault_arn,
        job_id,
        first_seen_at,
        last_seen_at,
        sightings,
        {
            account_id: account_id, region: region, vault_name: vault_name, action: action, tier: tier,
            job_description: job_description, archive_id: archive_id, retrieval_byte_range: retrieval_byte_range,
            creation_date: creation_date, completion_date: completion_date, status_code: status_code,
            status_message: status_message, archive_size_in_bytes: archive_size_in_bytes,
            inventory_size_in_bytes: inventory_size_in_bytes, last_observation_id: last_observation_id
        } AS last
    FROM open_jobs
),
merged AS (
    SELECT
        vault_arn,
        job_id,
        min(first_seen_at) AS first_seen_at,
        max(last_seen_at) AS last_seen_at,
        sum(sightings)::BIGINT AS sightings,
        unnest(arg_max(last, (last_seen_at, last.last_observation_id)))
    FROM gathered
    GROUP BY vault_arn, job_id
),
evidence AS (
    SELECT vault_arn, looked_at, min((outcome, ended_at)) AS listing
    FROM vault_listings
    WHERE outcome IN ('listed', 'gone') AND looked_at < $until
    GROUP BY vault_arn, looked_at
),
judged AS (
    SELECT
        merged.*,
        evidence.looked_at AS missed_at,
        CASE
            WHEN merged.status_code = 'Succeeded' THEN 'succeeded'
            WHEN merged.status_code = 'Failed' THEN 'failed'
            WHEN evidence.looked_at IS NULL THEN 'in_progress'
            WHEN evidence.listing[1] = 'gone' THEN 'vault_gone'
            -- Had it completed right after it was last listed, Glacier would still have to list it.
            WHEN evidence.listing[2] < merged.last_seen_at + INTERVAL 24 HOURS THEN 'vanished'
            ELSE 'unknown_gap'
        END AS fate
    FROM merged
    -- The first listing of the vault after the job was last listed.
    ASOF LEFT JOIN evidence ON merged.vault_arn = evidence.vault_arn AND merged.last_seen_at < evidence.looked_at
)
SELECT
    account_id, region, vault_name, vault_arn, job_id, action, tier, job_description, archive_id,
    retrieval_byte_range, creation_date, completion_date, status_code, status_message, archive_size_in_bytes,
    inventory_size_in_bytes, first_seen_at, last_seen_at, last_observation_id, sightings,
    fate,
    CASE WHEN fate IN ('vault_gone', 'vanished', 'unknown_gap') THEN missed_at ELSE last_seen_at END AS as_of,
    -- A finished job stays open while it is listed, so that its last listing is recorded.
    missed_at IS NOT NULL
        OR (fate IN ('succeeded', 'failed') AND last_seen_at < $until - INTERVAL 24 HOURS) AS closed
FROM judged
ORDER BY vault_arn, job_id
