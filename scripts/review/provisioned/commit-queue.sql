-- Commits by hour: how many, how long they waited for others, how long they took. Node -1 is the leader.
-- Reads stl_commit_stats.
select date_trunc('hour', startqueue) as hour,
    count(*) as commits,
    max(queuelen) as longest_queue,
    cast(avg(datediff(millisecond, startqueue, startwork)) / 1000.0 as decimal(18, 3)) as average_wait_seconds,
    cast(max(datediff(millisecond, startqueue, startwork)) / 1000.0 as decimal(18, 3)) as longest_wait_seconds,
    cast(avg(datediff(millisecond, startwork, endtime)) / 1000.0 as decimal(18, 3)) as average_commit_seconds,
    sum(dirtyblocks) as blocks
from stl_commit_stats
where node = -1
    and startqueue >= dateadd(day, -1 * cast(:days as integer), getdate())
group by 1
order by hour
limit 2000
