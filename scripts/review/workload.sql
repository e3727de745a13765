-- The size of the work on each whole day: hours with work in them, queries by length, the most queries at once, databases in use.
-- Reads sys_query_history.
with ran as (
    select date_trunc('day', start_time) as day, start_time, end_time, elapsed_time, database_name
    from sys_query_history
    where start_time >= dateadd(day, -1 * cast(:days as integer), date_trunc('day', getdate()))
        and start_time < date_trunc('day', getdate())
        and user_id > 1
), changes as (
    select day, start_time as moment, 1 as change from ran where end_time > start_time
    union all
    select day, end_time as moment, -1 as change from ran where end_time > start_time
), levels as (
    select day, sum(change) over (partition by day order by moment, change rows unbounded preceding) as running
    from changes
), peaks as (
    select day, max(running) as peak_queries
    from levels
    group by day
), days as (
    select day,
        count(*) as queries,
        count(distinct date_trunc('hour', start_time)) as busy_hours,
        count(distinct database_name) as databases,
        sum(case when elapsed_time < 10000000 then 1 else 0 end) as short_queries,
        sum(case when elapsed_time >= 10000000 and elapsed_time < 600000000 then 1 else 0 end) as medium_queries,
        sum(case when elapsed_time >= 600000000 then 1 else 0 end) as long_queries
    from ran
    group by day
)
select trunc(d.day) as day,
    d.queries,
    d.busy_hours,
    cast(100.0 * d.busy_hours / 24 as decimal(9, 2)) as busy_percent,
    d.short_queries,
    d.medium_queries,
    d.long_queries,
    cast(100.0 * d.long_queries / d.queries as decimal(9, 2)) as long_percent,
    p.peak_queries,
    d.databases
from days d
left join peaks p on p.day = d.day
order by day
limit 366
