-- The metrics on which query monitoring rules act, for the queries that went past one of the console's rule templates.
-- Reads svl_query_metrics_summary, stl_query.
select cast(m.query as bigint) as query_id,
    q.starttime as start_time,
    m.service_class,
    m.query_execution_time as seconds,
    m.query_queue_time as queue_seconds,
    m.segment_execution_time as segment_seconds,
    m.query_cpu_time as cpu_seconds,
    m.cpu_skew,
    m.io_skew,
    m.scan_row_count as scanned_rows,
    m.join_row_count as joined_rows,
    m.nested_loop_join_row_count as nested_loop_rows,
    m.return_row_count as returned_rows,
    left(translate(trim(q.querytxt), chr(10) || chr(13) || chr(9), '   '), 200) as query_text
from svl_query_metrics_summary m
join stl_query q on q.query = m.query
where q.starttime >= dateadd(day, -1 * cast(:days as integer), getdate())
    and m.userid > 1
    and (m.nested_loop_join_row_count > 100
        or m.return_row_count > 1000000
        or m.join_row_count > 1000000000
        or m.segment_execution_time > 120)
order by seconds desc, query_id
limit 200
