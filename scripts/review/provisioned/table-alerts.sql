-- What the planner and the executor warned of, by event and by table read in the same part of the query. The text before the
-- first colon is the event.
-- Reads stl_alert_event_log, stl_scan, stl_query.
with scans as (
    select query, segment, min(trim(perm_table_name)) as table_name
    from stl_scan
    where type = 2
    group by query, segment
), alerts as (
    select a.query,
        trim(split_part(a.event, ':', 1)) as event,
        coalesce(s.table_name, '') as table_name,
        max(trim(split_part(a.solution, ':', 1))) as solution,
        count(*) as occurrences,
        max(a.event_time) as last_time
    from stl_alert_event_log a
    left join scans s on s.query = a.query and s.segment = a.segment
    where a.event_time >= dateadd(day, -1 * cast(:days as integer), getdate())
        and a.userid > 1
    group by 1, 2, 3
)
select a.event,
    max(a.solution) as solution,
    a.table_name,
    cast(sum(a.occurrences) as bigint) as occurrences,
    count(distinct a.query) as queries,
    cast(sum(datediff(second, q.starttime, q.endtime)) / 60.0 as decimal(18, 1)) as minutes,
    max(a.last_time) as last_time
from alerts a
join stl_query q on q.query = a.query
group by 1, 3
order by queries desc, a.event, a.table_name
limit 500
