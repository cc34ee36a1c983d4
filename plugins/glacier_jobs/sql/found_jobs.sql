-- Question:  which jobs match the filters?
-- Grain:     one row a job of the newest listing of its vault (as latest_jobs); $row_limit rows from row $offset on.
-- Tables:    latest_jobs
-- Arguments: $account_ids, $regions, $vault_names, $actions, $tiers, $status_codes: only jobs that have one of these
--            values; null for all. An empty text stands for a value that is missing.
--            $text: only jobs whose id, description, archive id, status message or vault name contains this text,
--            in upper or lower case; null for all.
--            $now
--            $sort: one of the columns below except matches. Null comes last in either direction. By expires_at
--            ascending, outputs that can still be downloaded come before those that expired.
--            $descending: the largest first.
--            $offset, $row_limit: null for no limit.
-- Columns:   matches         number of all jobs that match
--            account_id, region, vault_name, vault_arn, job_id
--            action, tier, status_code, status_message, job_description, archive_id
--            creation_date, completion_date
--            running_seconds  from creation to completion; of a job in progress, to as_of
--            expires_at      until when Glacier keeps its output: 24 hours after completion; null unless it succeeded
--            bytes           the retrieved range, else the archive's size, else the inventory's
--            as_of           when the listing that showed it began
-- Units:     seconds, bytes; timestamps in UTC.
WITH jobs AS (
    SELECT
        *,
        date_diff('microseconds', creation_date, coalesce(completion_date, as_of)) / 1e6 AS running_seconds,
        CASE WHEN status_code = 'Succeeded' THEN completion_date + INTERVAL 24 HOURS END AS expires_at,
        coalesce(
            TRY(
                TRY_CAST(regexp_extract(retrieval_byte_range, '^(\d+)-(\d+)$', 2) AS BIGINT)
                    - TRY_CAST(regexp_extract(retrieval_byte_range, '^(\d+)-(\d+)$', 1) AS BIGINT) + 1
            ),
            archive_size_in_bytes,
            inventory_size_in_bytes
        ) AS bytes
    FROM latest_jobs
),
matching AS (
    SELECT
        *,
        count(*) OVER () AS matches,
        -- One of the two is null in all rows, by the type of the column.
        CASE $sort
            WHEN 'creation_date' THEN epoch_us(creation_date)
            WHEN 'completion_date' THEN epoch_us(completion_date)
            WHEN 'expires_at' THEN epoch_us(expires_at)
            WHEN 'as_of' THEN epoch_us(as_of)
            WHEN 'running_seconds' THEN (running_seconds * 1e6)::BIGINT
            WHEN 'bytes' THEN bytes
        END AS number_key,
        CASE $sort
            WHEN 'account_id' THEN account_id
            WHEN 'region' THEN region
            WHEN 'vault_name' THEN vault_name
            WHEN 'vault_arn' THEN vault_arn
            WHEN 'job_id' THEN job_id
            WHEN 'action' THEN action
            WHEN 'tier' THEN tier
            WHEN 'status_code' THEN status_code
            WHEN 'status_message' THEN status_message
            WHEN 'job_description' THEN job_description
            WHEN 'archive_id' THEN archive_id
        END AS text_key,
        $sort = 'expires_at' AND NOT $descending AND expires_at <= $now AS expired
    FROM jobs
    WHERE
        ($account_ids IS NULL OR list_contains($account_ids::VARCHAR[], account_id))
        AND ($regions IS NULL OR list_contains($regions::VARCHAR[], region))
        AND ($vault_names IS NULL OR list_contains($vault_names::VARCHAR[], vault_name))
        AND ($actions IS NULL OR list_contains($actions::VARCHAR[], coalesce(action, '')))
        AND ($tiers IS NULL OR list_contains($tiers::VARCHAR[], coalesce(tier, '')))
        AND ($status_codes IS NULL OR list_contains($status_codes::VARCHAR[], coalesce(status_code, '')))
        AND (
            $text IS NULL
            OR contains(lower(job_id), lower($text))
            OR contains(lower(job_description), lower($text))
            OR contains(lower(archive_id), lower($text))
            OR contains(lower(status_message), lower($text))
            OR contains(lower(vault_name), lower($text))
        )
)
SELECT
    matches,
    account_id, region, vault_name, vault_arn, job_id,
    action, tier, status_code, status_message, job_description, archive_id,
    creation_date, completion_date, running_seconds, expires_at, bytes, as_of
FROM matching
ORDER BY
    number_key IS NULL AND text_key IS NULL,
    expired,
    CASE WHEN $descending THEN -number_key ELSE number_key END,
    CASE WHEN NOT $descending THEN text_key END,
    CASE WHEN $descending THEN text_key END DESC,
    vault_arn, job_id
LIMIT $row_limit OFFSET $offset
