-- Rows that COPY refused, by table, column and reason.
-- Reads sys_load_error_detail.
select table_id,
    trim(column_name) as column_name,
    trim(column_type) as column_type,
    error_code,
    trim(max(error_message)) as error_message,
    count(*) as errors,
    count(distinct query_id) as loads,
    count(distinct trim(file_name)) as files,
    trim(max(file_name)) as example_file,
    max(start_time) as last_time
from sys_load_error_detail
where start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
    and user_id > 1
group by 1, 2, 3, 4
order by errors desc, table_id, column_name, error_code
limit 500
