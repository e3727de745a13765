-- The workgroup's use of Redshift Processing Units by hour, what was charged for, and the storage.
-- Reads sys_serverless_usage.
select date_trunc('hour', start_time) as hour,
    cast(max(compute_capacity) as decimal(18, 1)) as rpus,
    cast(sum(compute_seconds) as decimal(18, 1)) as compute_seconds,
    sum(charged_seconds) as charged_seconds,
    cast(sum(charged_seconds) / 3600.0 as decimal(18, 2)) as charged_rpu_hours,
    cast(max(data_storage) / 1024.0 as decimal(18, 1)) as storage_gb,
    cast(sum(cross_region_transferred_data) / 1048576.0 as decimal(18, 1)) as cross_region_mb
from sys_serverless_usage
where start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
group by 1
order by hour
limit 2000
