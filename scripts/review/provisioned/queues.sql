-- The user queues of workload management: how they are configured and how they were used in the last days. peak_slots is the
-- largest number of slots in use at one moment.
-- Service classes: 6 to 13 manual queues, 14 short query acceleration, 100 and up automatic.
-- Reads stv_wlm_service_class_config, stl_wlm_query.
with ran as (
    select service_class, slot_count, exec_start_time, exec_end_time, total_queue_time, total_exec_time
    from stl_wlm_query
    where service_class_start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
        and userid > 1
), usage as (
    select service_class,
        count(*) as queries,
        sum(total_queue_time) / 1000000.0 as queue_seconds,
        sum(total_exec_time) / 1000000.0 as exec_seconds,
        max(total_queue_time) / 1000000.0 as longest_wait_seconds
    from ran
    group by service_class
), changes as (
    select service_class, exec_start_time as moment, slot_count as change from ran where exec_end_time > exec_start_time
    union all
    select service_class, exec_end_time as moment, -1 * slot_count as change from ran where exec_end_time > exec_start_time
), levels as (
    select service_class,
        sum(change) over (partition by service_class order by moment, change rows unbounded preceding) as slots_in_use
    from changes
), peaks as (
    select service_class, max(slots_in_use) as peak_slots
    from levels
    group by service_class
)
select c.service_class,
    trim(c.name) as queue,
    case when c.service_class = 14 then 'short queries' when c.service_class >= 100 then 'automatic' else 'manual' end as mode,
    c.num_query_tasks as slots,
    c.query_working_mem as slot_memory_mb,
    trim(c.concurrency_scaling) as concurrency_scaling,
    trim(c.query_priority) as priority,
    c.max_execution_time as timeout_ms,
    coalesce(u.queries, 0) as queries,
    cast(100.0 * coalesce(u.queries, 0) / nullif(sum(u.queries) over (), 0) as decimal(9, 2)) as queries_percent,
    coalesce(p.peak_slots, 0) as peak_slots,
    cast(coalesce(u.queue_seconds, 0) as decimal(18, 1)) as queue_seconds,
    cast(coalesce(u.exec_seconds, 0) as decimal(18, 1)) as exec_seconds,
    cast(100.0 * u.queue_seconds / nullif(u.queue_seconds + u.exec_seconds, 0) as decimal(9, 2)) as queue_percent,
    cast(u.longest_wait_seconds as decimal(18, 1)) as longest_wait_seconds
from stv_wlm_service_class_config c
left join usage u on u.service_class = c.service_class
left join peaks p on p.service_class = c.service_class
where c.service_class >= 6 and c.service_class <> 15
order by c.service_class
limit 200
