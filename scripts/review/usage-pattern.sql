-- What ran in each hour, and how much of it was waiting. small_inserts: INSERT with a list of values.
-- Reads sys_query_history.
select date_trunc('hour', start_time) as hour,
    count(*) as queries,
    count(distinct user_id) as users,
    sum(case when trim(query_type) = 'SELECT' then 1 else 0 end) as selects,
    sum(case when trim(query_type) = 'COPY' then 1 else 0 end) as copies,
    sum(case when trim(query_type) = 'INSERT' and query_text ilike 'insert into%values%' then 1 else 0 end) as small_inserts,
    sum(case when trim(query_type) in ('UPDATE', 'DELETE', 'MERGE') then 1 else 0 end) as changes,
    sum(case when result_cache_hit then 1 else 0 end) as cache_hits,
    sum(case when trim(status) = 'failed' then 1 else 0 end) as failed,
    cast(sum(elapsed_time) / 1000000.0 as decimal(18, 1)) as seconds,
    cast(sum(queue_time) / 1000000.0 as decimal(18, 1)) as queue_seconds,
    cast(100.0 * sum(queue_time) / nullif(sum(queue_time) + sum(execution_time), 0) as decimal(9, 2)) as queue_percent
from sys_query_history
where start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
    and user_id > 1
group by 1
order by hour
limit 2000
