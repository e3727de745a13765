-- COPY by target table and format: how many files, how large, how fast, and whether several ran into one table at once.
-- A workgroup has no slices to see. Reads sys_load_history.
with slices as (
    select cast(null as bigint) as slices
), ordered as (
    select table_name, file_format, start_time, end_time, duration, loaded_rows, source_file_count, source_file_bytes, error_count,
        lag(end_time) over (partition by table_name order by start_time, query_id) as earlier_end
    from sys_load_history
    where start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
        and user_id > 1
        and status = 'completed'
)
select trim(o.table_name) as table_name,
    trim(o.file_format) as file_format,
    count(*) as loads,
    sum(o.loaded_rows) as loaded_rows,
    sum(o.source_file_count) as files,
    cast(sum(o.source_file_count) * 1.0 / count(*) as decimal(18, 1)) as files_per_load,
    cast(sum(o.source_file_bytes) / 1048576.0 as decimal(18, 1)) as total_mb,
    cast(sum(o.source_file_bytes) / 1048576.0 / nullif(sum(o.source_file_count), 0) as decimal(18, 2)) as mb_per_file,
    cast(sum(o.duration) / 1000000.0 as decimal(18, 1)) as seconds,
    cast(sum(o.source_file_bytes) / 1048576.0 / nullif(sum(o.duration) / 1000000.0, 0) as decimal(18, 2)) as mb_per_second,
    sum(case when o.start_time < o.earlier_end then 1 else 0 end) as overlapping_loads,
    sum(o.error_count) as errors,
    max(s.slices) as slices
from ordered o
cross join slices s
group by 1, 2
order by total_mb desc, table_name, file_format
limit 500
