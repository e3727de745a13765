-- Commits by hour: how many and how long they took. A workgroup records no commit queue.
-- Reads sys_transaction_history.
select date_trunc('hour', commit_start_time) as hour,
    count(*) as commits,
    cast(null as bigint) as longest_queue,
    cast(null as decimal(18, 3)) as average_wait_seconds,
    cast(null as decimal(18, 3)) as longest_wait_seconds,
    cast(avg(datediff(millisecond, commit_start_time, commit_end_time)) / 1000.0 as decimal(18, 3)) as average_commit_seconds,
    sum(blocks_committed) as blocks
from sys_transaction_history
where trim(status) = 'committed'
    and commit_start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
group by 1
order by hour
limit 2000
