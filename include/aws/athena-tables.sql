-- The dataset's tables for Amazon Athena (engine version 3). Put the dataset's place for BUCKET/PREFIX, and run the
-- statements one at a time. Then query the views of athena-views.sql, which show committed observations only, each row
-- once. The last three tables have the same columns as the first three: they are the compacted files of finalized days.
-- The partitions are projected: a new day needs no crawler and no MSCK REPAIR. snapshot_date is text: 2026-11-22.

create database if not exists glacier;

-- One row a job that a listing showed.
create external table if not exists glacier.jobs (
    `observation_id` string,
    `snapshot_at` timestamp,
    `observed_at` timestamp,
    `account_id` string,
    `region` string,
    `vault_name` string,
    `job_id` string,
    `job_description` string,
    `action` string,
    `archive_id` string,
    `vault_arn` string,
    `creation_date` timestamp,
    `completion_date` timestamp,
    `completed` boolean,
    `status_code` string,
    `status_message` string,
    `archive_size_in_bytes` bigint,
    `inventory_size_in_bytes` bigint,
    `sns_topic` string,
    `sha256_tree_hash` string,
    `archive_sha256_tree_hash` string,
    `retrieval_byte_range` string,
    `tier` string,
    `inventory_retrieval_parameters` struct<format: string, start_date: timestamp, end_date: timestamp, limit: bigint, marker: string>,
    `job_output_path` string,
    `select_parameters` string,
    `output_location` string,
    `extra` string
)
partitioned by (`snapshot_date` string)
stored as parquet
location 's3://BUCKET/PREFIX/jobs/'
tblproperties (
    'projection.enabled' = 'true',
    'projection.snapshot_date.type' = 'date',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.range' = '2026-01-01,NOW+1DAYS',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS'
);

-- One row a vault that was to be listed.
create external table if not exists glacier.vaults (
    `observation_id` string,
    `snapshot_at` timestamp,
    `account_id` string,
    `region` string,
    `vault_name` string,
    `vault_arn` string,
    `creation_date` timestamp,
    `last_inventory_date` timestamp,
    `number_of_archives` bigint,
    `size_in_bytes` bigint,
    `jobs` bigint,
    `pages` bigint,
    `listing_began_at` timestamp,
    `listing_ended_at` timestamp,
    `outcome` string,
    `error` string
)
partitioned by (`snapshot_date` string)
stored as parquet
location 's3://BUCKET/PREFIX/vaults/'
tblproperties (
    'projection.enabled' = 'true',
    'projection.snapshot_date.type' = 'date',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.range' = '2026-01-01,NOW+1DAYS',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS'
);

-- One row an observation: its commit mark.
create external table if not exists glacier.observations (
    `observation_id` string,
    `snapshot_at` timestamp,
    `ended_at` timestamp,
    `published_at` timestamp,
    `account_id` string,
    `region` string,
    `scope` string,
    `vaults_listed` bigint,
    `vaults_gone` bigint,
    `vaults_failed` bigint,
    `jobs` bigint,
    `dag_id` string,
    `run_id` string,
    `task_id` string,
    `map_index` bigint,
    `try_number` bigint,
    `package_version` string,
    `schema_version` bigint
)
partitioned by (`snapshot_date` string)
stored as parquet
location 's3://BUCKET/PREFIX/observations/'
tblproperties (
    'projection.enabled' = 'true',
    'projection.snapshot_date.type' = 'date',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.range' = '2026-01-01,NOW+1DAYS',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS'
);

-- The rows of jobs, of compacted days.
create external table if not exists glacier.compacted_jobs (
    `observation_id` string,
    `snapshot_at` timestamp,
    `observed_at` timestamp,
    `account_id` string,
    `region` string,
    `vault_name` string,
    `job_id` string,
    `job_description` string,
    `action` string,
    `archive_id` string,
    `vault_arn` string,
    `creation_date` timestamp,
    `completion_date` timestamp,
    `completed` boolean,
    `status_code` string,
    `status_message` string,
    `archive_size_in_bytes` bigint,
    `inventory_size_in_bytes` bigint,
    `sns_topic` string,
    `sha256_tree_hash` string,
    `archive_sha256_tree_hash` string,
    `retrieval_byte_range` string,
    `tier` string,
    `inventory_retrieval_parameters` struct<format: string, start_date: timestamp, end_date: timestamp, limit: bigint, marker: string>,
    `job_output_path` string,
    `select_parameters` string,
    `output_location` string,
    `extra` string
)
partitioned by (`snapshot_date` string)
stored as parquet
location 's3://BUCKET/PREFIX/compacted/jobs/'
tblproperties (
    'projection.enabled' = 'true',
    'projection.snapshot_date.type' = 'date',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.range' = '2026-01-01,NOW+1DAYS',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS'
);

-- The rows of vaults, of compacted days.
create external table if not exists glacier.compacted_vaults (
    `observation_id` string,
    `snapshot_at` timestamp,
    `account_id` string,
    `region` string,
    `vault_name` string,
    `vault_arn` string,
    `creation_date` timestamp,
    `last_inventory_date` timestamp,
    `number_of_archives` bigint,
    `size_in_bytes` bigint,
    `jobs` bigint,
    `pages` bigint,
    `listing_began_at` timestamp,
    `listing_ended_at` timestamp,
    `outcome` string,
    `error` string
)
partitioned by (`snapshot_date` string)
stored as parquet
location 's3://BUCKET/PREFIX/compacted/vaults/'
tblproperties (
    'projection.enabled' = 'true',
    'projection.snapshot_date.type' = 'date',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.range' = '2026-01-01,NOW+1DAYS',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS'
);

-- The rows of observations, of compacted days. They are read from the compacted files, and not from the raw files.
create external table if not exists glacier.compacted_observations (
    `observation_id` string,
    `snapshot_at` timestamp,
    `ended_at` timestamp,
    `published_at` timestamp,
    `account_id` string,
    `region` string,
    `scope` string,
    `vaults_listed` bigint,
    `vaults_gone` bigint,
    `vaults_failed` bigint,
    `jobs` bigint,
    `dag_id` string,
    `run_id` string,
    `task_id` string,
    `map_index` bigint,
    `try_number` bigint,
    `package_version` string,
    `schema_version` bigint
)
partitioned by (`snapshot_date` string)
stored as parquet
location 's3://BUCKET/PREFIX/compacted/observations/'
tblproperties (
    'projection.enabled' = 'true',
    'projection.snapshot_date.type' = 'date',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.range' = '2026-01-01,NOW+1DAYS',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS'
);
