-- The fifty statements that took the most time in all, queries of the same shape counted as one.
-- Reads sys_query_history.
select trim(generic_query_hash) as query_hash,
    trim(query_type) as query_type,
    left(translate(trim(max(query_text)), chr(10) || chr(13) || chr(9), '   '), 200) as example,
    count(*) as runs,
    count(distinct user_id) as users,
    cast(sum(elapsed_time) / 1000000.0 as decimal(18, 1)) as total_seconds,
    cast(100.0 * sum(elapsed_time) / nullif(sum(sum(elapsed_time)) over (), 0) as decimal(9, 2)) as share_percent,
    cast(sum(elapsed_time) / 1000000.0 / count(*) as decimal(18, 2)) as average_seconds,
    cast(max(elapsed_time) / 1000000.0 as decimal(18, 1)) as longest_seconds,
    cast(sum(queue_time) / 1000000.0 as decimal(18, 1)) as queue_seconds,
    cast(sum(compile_time) / 1000000.0 as decimal(18, 1)) as compile_seconds,
    sum(returned_rows) as returned_rows,
    cast(sum(returned_rows) * 1.0 / count(*) as decimal(18, 0)) as rows_per_run,
    sum(case when result_cache_hit then 1 else 0 end) as cache_hits
from sys_query_history
where start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
    and user_id > 1
group by 1, 2
order by total_seconds desc, query_hash
limit 50
