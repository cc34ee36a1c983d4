-- Question:  which hours was each vault listed, and where are gaps?
-- Grain:     one row a vault and stretch of UTC hours that were all observed, or all missed, from $since to $until. An
--            hour is observed if a complete listing of the vault began in it. A vault counts from its first listing
--            until it was found gone.
-- Tables:    vault_listings (of $since to $until, and before that the newest complete listing of each vault)
-- Arguments: $since, $until
-- Columns:   account_id, region, vault_name, vault_arn
--            from_hour, to_hour  the stretch: its first hour, and the hour after its last
--            hours           number of hours
--            observed        whether they were observed
--            listings        number of complete listings that began in them
--            gap_hours       of a missed stretch: from the start of the listing before it to the end of the listing
--                            after it, or to the end of the period
--            beyond_retention  gap_hours is more than the 24 hours for which Glacier keeps a finished job: jobs may have
--                            been created and dropped without being listed
-- Units:     hours; timestamps in UTC.
WITH numbered AS (
    SELECT
        *,
        -- A vault that was gone and exists again counts anew.
        count(*) FILTER (outcome = 'gone') OVER (
            PARTITION BY vault_arn ORDER BY listed_at, outcome = 'gone' DESC, observation_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS watch
    FROM vault_listings
    WHERE listed_at < $until
),
watches AS (
    SELECT
        account_id, region, vault_name, vault_arn, watch,
        min(listed_at) AS begins_at,
        coalesce(min(listed_at) FILTER (outcome = 'gone'), $until) AS ends_at
    FROM numbered
    GROUP BY ALL
    HAVING count(*) FILTER (outcome <> 'gone') > 0
),
listed AS (
    SELECT
        vault_arn, watch,
        date_trunc('hour', listed_at) AS hour,
        count(*) FILTER (listed_at >= $since) AS listings,
        min((listed_at, ended_at)) AS first,
        max((listed_at, ended_at)) AS last
    FROM numbered
    WHERE outcome = 'listed'
    GROUP BY ALL
),
islands AS (
    SELECT
        *,
        hour - INTERVAL 1 HOUR * row_number() OVER (PARTITION BY vault_arn, watch ORDER BY hour) AS island
    FROM listed
),
observed AS (
    SELECT
        vault_arn, watch,
        min(hour) AS from_hour,
        max(hour) + INTERVAL 1 HOUR AS to_hour,
        sum(listings)::BIGINT AS listings,
        min(first)[2] AS first_ended_at,
        max(last)[1] AS last_began_at
    FROM islands
    GROUP BY vault_arn, watch, island
),
-- The hours before each observed stretch, and after the last one.
missed AS (
    SELECT
        watches.vault_arn,
        watches.watch,
        coalesce(
            lag(observed.to_hour) OVER stretches, date_trunc('hour', watches.begins_at)
        ) AS from_hour,
        observed.from_hour AS to_hour,
        date_diff(
            'microseconds', coalesce(lag(observed.last_began_at) OVER stretches, watches.begins_at),
            observed.first_ended_at
        ) / 3.6e9 AS gap_hours
    FROM watches
    JOIN observed USING (vault_arn, watch)
    WINDOW stretches AS (PARTITION BY watches.vault_arn, watches.watch ORDER BY observed.from_hour)
    UNION ALL
    SELECT
        watches.vault_arn,
        watches.watch,
        coalesce(max(observed.to_hour), date_trunc('hour', any_value(watches.begins_at))),
        date_trunc('hour', any_value(watches.ends_at)),
        date_diff(
            'microseconds', coalesce(max(observed.last_began_at), any_value(watches.begins_at)),
            any_value(watches.ends_at)
        ) / 3.6e9
    FROM watches
    LEFT JOIN observed USING (vault_arn, watch)
    GROUP BY watches.vault_arn, watches.watch
),
stretches AS (
    SELECT vault_arn, watch, from_hour, to_hour, true AS observed, listings, NULL::DOUBLE AS gap_hours FROM observed
    UNION ALL
    SELECT vault_arn, watch, from_hour, to_hour, false, 0, gap_hours FROM missed
)
SELECT
    account_id, region, vault_name, vault_arn,
    greatest(from_hour, date_trunc('hour', $since)) AS from_hour,
    to_hour,
    date_diff('hour', greatest(from_hour, date_trunc('hour', $since)), to_hour) AS hours,
    observed,
    listings,
    gap_hours,
    coalesce(gap_hours > 24, false) AS beyond_retention
FROM stretches
JOIN watches USING (vault_arn, watch)
WHERE stretches.from_hour < to_hour AND to_hour > date_trunc('hour', $since)
ORDER BY account_id, region, vault_name, vault_arn, from_hour, watch
