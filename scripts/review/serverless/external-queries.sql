-- Queries on external tables, by table and file format: files opened, partitions passed over, rows brought back.
-- The size of the files is not recorded on Serverless. Reads sys_external_query_detail.
with scanned as (
    select cast('' as varchar(136)) as table_name, cast(null as decimal(18, 2)) as mb_per_file
)
select trim(e.table_name) as table_name,
    trim(e.source_type) as source_type,
    lower(trim(e.file_format)) as file_format,
    count(distinct e.query_id) as queries,
    cast(sum(e.duration) / 1000000.0 as decimal(18, 1)) as seconds,
    sum(e.scanned_files) as files,
    max(s.mb_per_file) as mb_per_file,
    sum(e.total_partitions) as total_partitions,
    sum(e.qualified_partitions) as qualified_partitions,
    cast(100.0 * sum(e.qualified_partitions) / nullif(sum(e.total_partitions), 0) as decimal(9, 2)) as qualified_percent,
    sum(e.returned_rows) as returned_rows,
    cast(sum(e.returned_bytes) / 1048576.0 as decimal(18, 1)) as returned_mb,
    cast(sum(e.s3list_time) / 1000.0 as decimal(18, 1)) as list_seconds,
    sum(case when trim(e.warning_message) <> '' then 1 else 0 end) as warnings,
    trim(max(e.warning_message)) as example_warning
from sys_external_query_detail e
left join scanned s on s.table_name = trim(e.table_name)
where e.start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
    and e.user_id > 1
group by 1, 2, 3
order by seconds desc, table_name, file_format
limit 500
