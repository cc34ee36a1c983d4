-- Views for Amazon Athena and DuckDB, over the tables of files. Committed snapshots only: what a crash left without a
-- commit mark is true, but not whole. A query that names snapshot_date reads the files of those days only.
-- Each row of the committed views is there once, before, during and after the compaction of its day: it is read from the
-- compacted file if compacted_observations has its snapshot, and else from the raw file. The column compacted says which.

-- One row a job that a committed listing showed.
create or replace view glacier.committed_jobs as
select r.*
from (
    select j.*, false as compacted
    from glacier.jobs j
    join glacier.observations o on o.snapshot_date = j.snapshot_date and o.observation_id = j.observation_id
    union all
    select c.*, true as compacted from glacier.compacted_jobs c
) r
left join glacier.compacted_observations m
    on m.snapshot_date = r.snapshot_date and m.observation_id = r.observation_id
where r.compacted = (m.observation_id is not null);

-- One row a vault that a committed snapshot was to list.
create or replace view glacier.committed_vaults as
select r.*
from (
    select v.*, false as compacted
    from glacier.vaults v
    join glacier.observations o on o.snapshot_date = v.snapshot_date and o.observation_id = v.observation_id
    union all
    select c.*, true as compacted from glacier.compacted_vaults c
) r
left join glacier.compacted_observations m
    on m.snapshot_date = r.snapshot_date and m.observation_id = r.observation_id
where r.compacted = (m.observation_id is not null);

-- One row a committed snapshot. Each table is read once: a mark that is published meanwhile is not missed.
create or replace view glacier.committed_observations as
select
    observation_id, snapshot_at, ended_at, published_at, account_id, region, scope, vaults_listed,
    vaults_gone, vaults_failed, jobs, dag_id, run_id, task_id, map_index, try_number, package_version,
    schema_version, snapshot_date, compacted
from (
    select u.*, row_number() over (partition by snapshot_date, observation_id order by compacted desc) as place
    from (
        select o.*, false as compacted from glacier.observations o
        union all
        select c.*, true as compacted from glacier.compacted_observations c
    ) u
) r
where r.place = 1;

-- One row a job of the last days, as last seen: those that are not closed, or were closed on the newest aggregated day or
-- later. made_at is when the table was made.
create or replace view glacier.jobs_latest as
select
    account_id, region, vault_name, vault_arn, job_id, outcome, outcome_as_of as as_of,
    action, tier, job_description, archive_id, retrieval_byte_range, creation_date, completion_date,
    duration_seconds, bytes, expires_at, status_code, status_message, first_seen_at, first_failed_at,
    last_seen_at, last_observation_id, observation_count, made_at
from glacier.latest_generation;

-- One row a job that was ever listed, as last seen.
create or replace view glacier.job_history as
select
    account_id, region, vault_name, vault_arn, job_id, outcome, as_of,
    action, tier, job_description, archive_id, retrieval_byte_range, creation_date, completion_date,
    duration_seconds, bytes, expires_at, status_code, status_message, first_seen_at, first_failed_at,
    last_seen_at, last_observation_id, observation_count
from (
    select
        u.*,
        row_number() over (partition by vault_arn, job_id order by last_seen_at desc, closed desc) as place
    from (
        select
            account_id, region, vault_name, vault_arn, job_id, outcome, outcome_as_of as as_of,
            action, tier, job_description, archive_id, retrieval_byte_range, creation_date, completion_date,
            duration_seconds, bytes, expires_at, status_code, status_message, first_seen_at, first_failed_at,
            last_seen_at, last_observation_id, observation_count, false as closed
        from glacier.latest_generation
        union all
        select
            account_id, region, vault_name, vault_arn, job_id, outcome, as_of,
            action, tier, job_description, archive_id, retrieval_byte_range, creation_date, completion_date,
            date_diff('millisecond', creation_date, completion_date) / 1e3 as duration_seconds,
            coalesce(
                try(
                    try_cast(regexp_extract(retrieval_byte_range, '^(\d+)-(\d+)$', 2) as bigint)
                        - try_cast(regexp_extract(retrieval_byte_range, '^(\d+)-(\d+)$', 1) as bigint) + 1
                ),
                archive_size_in_bytes,
                inventory_size_in_bytes
            ) as bytes,
            case outcome when 'succeeded' then completion_date + interval '24' hour end as expires_at,
            status_code, status_message, first_seen_at, first_failed_at,
            last_seen_at, last_observation_id, observation_count, true as closed
        from glacier.closed_jobs
    ) u
) r
where r.place = 1;

-- One row an archive of the newest full inventory of each vault. inventory_at is when Glacier took the inventory.
create or replace view glacier.latest_archives as
select
    i.inventory_at, a.account_id, a.region, a.vault_name, a.archive_id, a.archive_description, a.creation_date,
    a.size_in_bytes, a.sha256_tree_hash, a.file_path, a.file_modified_at, a.description_format, a.extra,
    a.inventory_id, a.inventory_date
from glacier.archives a
join (
    select
        n.*,
        row_number() over (
            partition by account_id, region, vault_name order by inventory_at desc, published_at desc
        ) as place
    from glacier.inventories n
    where scope = 'full'
) i on i.inventory_date = a.inventory_date and i.rows_in = a.inventory_id
where i.place = 1;
