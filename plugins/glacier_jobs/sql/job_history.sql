-- Question:  what became of each job that was ever seen?
-- Grain:     one row a job.
-- Tables:    history (the folded days and the open ones, as folding/told.sql gives them).
-- Arguments: $since, $until: jobs that were seen at or after the one and before the other.
-- Columns:   account_id, region, vault_name, vault_arn, job_id
--            fate            in_progress  when it was last seen, at as_of
--                            succeeded, failed
--                            vault_gone   last seen in progress, and then its vault was gone
--                            vanished     last seen in progress, and a complete listing within 24 hours did not show it
--                            unknown_gap  last seen in progress, and then its vault was not listed for 24 hours or more
--                            stale        last seen in progress, and nothing looks at its vault any more
--            as_of           the newest look that the fate rests on
--            action, tier, job_description, archive_id, retrieval_byte_range
--            creation_date, completion_date, duration_seconds (between them)
--            bytes           the range that was retrieved, else the archive's size, else the inventory's
--            status_code, status_message as last seen
--            first_seen_at, last_seen_at, sightings (how many listings showed it)
-- Units:     seconds, bytes; timestamps in UTC.
SELECT
    account_id, region, vault_name, vault_arn, job_id,
    fate, as_of,
    action, tier, job_description, archive_id, retrieval_byte_range,
    creation_date, completion_date, duration_seconds,
    bytes,
    status_code, status_message,
    first_seen_at, last_seen_at, sightings
FROM history
WHERE ($since IS NULL OR last_seen_at >= $since) AND ($until IS NULL OR first_seen_at < $until)
ORDER BY creation_date DESC NULLS LAST, vault_arn, job_id
