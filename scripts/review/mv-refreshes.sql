-- Refreshes of materialized views and how they ended.
-- Reads sys_mv_refresh_history.
select trim(schema_name) as schema_name,
    trim(mv_name) as view_name,
    trim(refresh_type) as refresh_type,
    count(*) as refreshes,
    sum(case when status ilike '%fail%' or status ilike '%abort%' or status ilike '%error%' then 1 else 0 end) as failed,
    sum(case when status ilike '%recompute%' then 1 else 0 end) as recomputed,
    cast(sum(duration) / 1000000.0 as decimal(18, 1)) as seconds,
    max(status) as example_status,
    max(start_time) as last_time
from sys_mv_refresh_history
where start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
group by 1, 2, 3
order by seconds desc, schema_name, view_name, refresh_type
limit 500
