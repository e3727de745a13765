-- VACUUM by table: by hand or automatic, how it ended, what it gave back. The column duration is an integer of microseconds and
-- too small for more than 35 minutes, so the times count.
-- Reads sys_vacuum_history.
select trim(schema_name) as schema_name,
    trim(table_name) as table_name,
    is_automatic as automatic,
    count(*) as runs,
    sum(case when trim(status) = 'Failed' then 1 else 0 end) as failed,
    sum(case when trim(status) like 'Skipped%' then 1 else 0 end) as skipped,
    cast(sum(datediff(millisecond, start_time, end_time)) / 1000.0 as decimal(18, 1)) as seconds,
    cast(max(datediff(millisecond, start_time, end_time)) / 1000.0 as decimal(18, 1)) as longest_seconds,
    sum(reclaimed_rows) as reclaimed_rows,
    max(end_time) as last_time
from sys_vacuum_history
where start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
group by 1, 2, 3
order by seconds desc, schema_name, table_name, automatic
limit 500
