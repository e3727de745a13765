-- Statements that waited for a lock on a table, queries of the same shape counted as one.
-- Reads sys_query_history.
select trim(generic_query_hash) as query_hash,
    trim(query_type) as query_type,
    left(translate(trim(max(query_text)), chr(10) || chr(13) || chr(9), '   '), 200) as example,
    count(*) as waits,
    cast(sum(lock_wait_time) / 1000000.0 as decimal(18, 1)) as wait_seconds,
    cast(max(lock_wait_time) / 1000000.0 as decimal(18, 1)) as longest_wait_seconds,
    cast(100.0 * sum(lock_wait_time) / nullif(sum(elapsed_time), 0) as decimal(9, 2)) as wait_percent
from sys_query_history
where start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
    and lock_wait_time > 0
    and user_id > 1
group by 1, 2
order by wait_seconds desc, query_hash
limit 200
