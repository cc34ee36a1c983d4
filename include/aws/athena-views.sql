-- Committed observations only: what a crash left without its commit mark is true, but not whole. Run the statements
-- one at a time, after athena-tables.sql. A query that names snapshot_date reads the files of those days only.
-- Each row is there once, before, during and after the compaction of its day: it is read from the compacted file if
-- compacted_observations has its observation, and else from the raw file. The column compacted says which.

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

-- One row a vault that a committed observation was to list.
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

-- One row a committed observation. Each table is read once: a mark that is published meanwhile is not missed.
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
