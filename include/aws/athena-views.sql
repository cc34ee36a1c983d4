-- Committed observations only: what a crash left without its commit mark is true, but not whole. Run the statements
-- one at a time, after athena-tables.sql. A query that names snapshot_date reads the files of those days only.

-- One row a job that a committed listing showed.
create or replace view glacier.committed_jobs as
select j.*
from glacier.jobs j
join glacier.observations o on o.snapshot_date = j.snapshot_date and o.observation_id = j.observation_id;

-- One row a vault that a committed observation was to list.
create or replace view glacier.committed_vaults as
select v.*
from glacier.vaults v
join glacier.observations o on o.snapshot_date = v.snapshot_date and o.observation_id = v.observation_id;
