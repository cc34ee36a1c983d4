-- Question:  what is the one lifecycle of a job that was closed more than once, because a listing missed it and a later
--            one showed it again?
-- Grain:     one row a job.
-- Tables:    folded (rows of job_history, each with job_key, which stands for vault and job id).
-- Columns:   those of folded. The newest row is right in all columns but first_seen_at and sightings, which are computed
--            from all rows of the job.
WITH several AS (
    SELECT job_key FROM folded GROUP BY job_key HAVING count(*) > 1
),
ranked AS (
    SELECT
        * REPLACE (
            min(first_seen_at) OVER same_job AS first_seen_at,
            (sum(sightings) OVER same_job)::BIGINT AS sightings
        ),
        row_number() OVER (PARTITION BY job_key ORDER BY last_seen_at DESC) AS newest
    FROM folded SEMI JOIN several USING (job_key)
    WINDOW same_job AS (PARTITION BY job_key)
)
SELECT * FROM folded ANTI JOIN several USING (job_key)
UNION ALL BY NAME
SELECT * EXCLUDE newest FROM ranked WHERE newest = 1
