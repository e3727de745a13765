-- What the planner and the executor warned of, by event and table. The text before the first colon is the event.
-- Reads sys_query_detail, sys_query_history.
with alerts as (
    select query_id,
        trim(split_part(alert, ':', 1)) as event,
        coalesce(trim(table_name), '') as table_name,
        count(*) as occurrences,
        max(end_time) as last_time
    from sys_query_detail
    where alert <> ''
        and start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
        and user_id > 1
    group by 1, 2, 3
)
select a.event,
    case
        when a.event like 'Missing query planner statistics%' then 'Run the ANALYZE command'
        when a.event like 'Scanned a large number of deleted rows%' then 'Run the VACUUM command to reclaim deleted space'
        when a.event like 'Very selective query filter%' then 'Review the choice of sort key'
        when a.event like 'Nested Loop Join%' then 'Review the join predicates to avoid Cartesian products'
        else 'Review the choice of distribution key'
    end as solution,
    a.table_name,
    cast(sum(a.occurrences) as bigint) as occurrences,
    count(distinct a.query_id) as queries,
    cast(sum(h.elapsed_time) / 60000000.0 as decimal(18, 1)) as minutes,
    max(a.last_time) as last_time
from alerts a
join sys_query_history h on h.query_id = a.query_id
group by 1, 2, 3
order by queries desc, a.event, a.table_name
limit 500
