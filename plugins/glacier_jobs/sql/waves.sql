-- Question:  how far is each wave of a migration?
-- Grain:     one row a wave, over all accounts, Regions and vaults, the one with the newest job first. Jobs whose
--            description has no wave are together in one row, the last. A job that was initiated again counts again.
-- Tables:    history (result of history/outcomes.sql).
-- Arguments: $pattern: a regular expression (RE2) over job_description. What its first group matches is the wave;
--            without a group, or if the group matches nothing, what the whole expression matches. By default, the text up
--            to the number after the first "wave", "batch", "phase" or "tranche"; without one, the text before the first
--            digit.
--            $prefix: only jobs whose description starts with this text; null for all jobs.
--            $since, $until: jobs that were created at or after $since and before $until.
-- Columns:   wave            null: the description has no wave
--            vaults          number of vaults with jobs of the wave
--            first_created_at, last_created_at  when its first and its last job were created
--            last_completed_at  when its newest succeeded or failed job completed
--            jobs            number of jobs, which is the sum of the next four
--            in_progress, succeeded, failed
--            other           jobs of which neither is known: outcome vault_gone, vanished, unknown_gap, stale, or a status
--                            that this version does not know
--            succeeded_share succeeded / jobs, from 0 to 1
--            bytes           of all jobs: of the retrieved range, else of the archive or the inventory
--            succeeded_bytes of those that succeeded
-- Units:     jobs, bytes (0 to 2^63 - 1); timestamps in UTC.
WITH named AS (
    SELECT
        *,
        coalesce(
            nullif(regexp_extract(job_description, $pattern, 1), ''),
            nullif(regexp_extract(job_description, $pattern, 0), '')
        ) AS wave
    FROM history
    WHERE ($prefix IS NULL OR starts_with(job_description, $prefix))
        AND ($since IS NULL OR creation_date >= $since) AND ($until IS NULL OR creation_date < $until)
)
SELECT
    wave,
    count(DISTINCT vault_arn) AS vaults,
    min(creation_date) AS first_created_at,
    max(creation_date) AS last_created_at,
    max(completion_date) FILTER (outcome IN ('succeeded', 'failed')) AS last_completed_at,
    count(*) AS jobs,
    count(*) FILTER (outcome = 'in_progress') AS in_progress,
    count(*) FILTER (outcome = 'succeeded') AS succeeded,
    count(*) FILTER (outcome = 'failed') AS failed,
    count(*) FILTER (outcome NOT IN ('in_progress', 'succeeded', 'failed')) AS other,
    succeeded / jobs AS succeeded_share,
    least(greatest(coalesce(sum(bytes), 0), 0), 9223372036854775807)::BIGINT AS bytes,
    least(greatest(coalesce(sum(bytes) FILTER (outcome = 'succeeded'), 0), 0), 9223372036854775807)::BIGINT AS succeeded_bytes
FROM named
GROUP BY wave
ORDER BY wave IS NULL, last_created_at DESC NULLS LAST, wave
