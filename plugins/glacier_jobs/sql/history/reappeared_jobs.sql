-- Question:  which of these jobs were closed before, and what was known of them?
-- Grain:     one row a job that was closed.
-- Tables:    jobs (vault_arn, job_id), job_history (rows of the days in question).
-- Columns:   those of job_history, of the job's last row, which is that of its whole life until then.
SELECT job_history.*
FROM job_history SEMI JOIN jobs USING (vault_arn, job_id)
QUALIFY row_number() OVER (PARTITION BY vault_arn, job_id ORDER BY last_seen_at DESC) = 1
