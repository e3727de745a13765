-- UNLOAD: the two hundred largest of the last days.
-- Reads sys_unload_history.
select query_id,
    start_time,
    trim(status) as status,
    upper(trim(file_format)) as file_format,
    trim(compression_type) as compression,
    unloaded_rows as row_count,
    unloaded_files_count as files,
    cast(unloaded_files_size / 1048576.0 as decimal(18, 1)) as mb,
    cast(unloaded_files_size / 1048576.0 / nullif(unloaded_files_count, 0) as decimal(18, 2)) as mb_per_file,
    cast(duration / 1000000.0 as decimal(18, 1)) as seconds,
    trim(unloaded_location) as location,
    trim(error_message) as error_message
from sys_unload_history
where start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
    and user_id > 1
order by mb desc, query_id
limit 200
