-- Statements that failed or were cancelled, by the beginning of their message.
-- Reads sys_query_history.
select trim(status) as status,
    trim(query_type) as query_type,
    trim(left(regexp_replace(error_message, '[0-9]+', '#'), 120)) as error,
    trim(max(error_message)) as example,
    count(*) as queries,
    count(distinct user_id) as users,
    cast(sum(elapsed_time) / 1000000.0 as decimal(18, 1)) as lost_seconds,
    max(start_time) as last_time
from sys_query_history
where start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
    and trim(status) in ('failed', 'canceled')
    and user_id > 1
group by 1, 2, 3
order by queries desc, error, query_type
limit 200
