-- Question:  what is the one lifecycle of each job? One that a listing missed, and that a later one showed again, has
--            been closed more than once.
-- Grain:     one row a job.
-- Tables:    folded (results of outcomes.sql, each with job_key, which stands for vault and job id).
-- Columns:   those of folded. The newest row is that of the job's whole life.
WITH several AS (
    SELECT job_key FROM folded GROUP BY job_key HAVING count(*) > 1
)
SELECT * FROM folded ANTI JOIN several USING (job_key)
UNION ALL BY NAME
SELECT * FROM folded SEMI JOIN several USING (job_key)
QUALIFY row_number() OVER (PARTITION BY job_key ORDER BY last_seen_at DESC) = 1
