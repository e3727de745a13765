-- How long concurrency scaling clusters worked on each day.
-- Reads svcs_concurrency_scaling_usage.
select trunc(start_time) as day,
    count(*) as periods,
    sum(queries) as queries,
    cast(sum(usage_in_seconds) as bigint) as seconds
from svcs_concurrency_scaling_usage
where start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
group by 1
order by day
limit 366
