-- ANALYZE by table: by hand or automatic, and how often it found nothing to do.
-- Reads sys_analyze_history.
select trim(table_name) as table_name,
    trim(is_automatic) in ('t', '1') as automatic,
    count(*) as runs,
    sum(case when trim(status) = 'Skipped' then 1 else 0 end) as skipped,
    cast(sum(datediff(millisecond, start_time, end_time)) / 1000.0 as decimal(18, 1)) as seconds,
    max(end_time) as last_time
from sys_analyze_history
where start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
group by 1, 2
order by seconds desc, table_name, automatic
limit 500
