-- Queries that ran out of memory and wrote intermediate results to disk, the largest first, with the step that spilled.
-- Reads svl_query_metrics_summary, svl_query_summary, stl_query.
with steps as (
    select query,
        count(*) as disk_steps,
        max(trim(label)) as example_step,
        cast(max(workmem) / 1048576.0 as decimal(18, 1)) as memory_mb
    from svl_query_summary
    where is_diskbased = 't'
    group by query
)
select cast(m.query as bigint) as query_id,
    q.starttime as start_time,
    cast(datediff(millisecond, q.starttime, q.endtime) / 1000.0 as decimal(18, 1)) as seconds,
    m.query_temp_blocks_to_disk as spilled_mb,
    s.disk_steps,
    s.example_step,
    s.memory_mb,
    left(translate(trim(q.querytxt), chr(10) || chr(13) || chr(9), '   '), 200) as query_text
from svl_query_metrics_summary m
join stl_query q on q.query = m.query
left join steps s on s.query = m.query
where m.query_temp_blocks_to_disk > 0
    and q.starttime >= dateadd(day, -1 * cast(:days as integer), getdate())
    and m.userid > 1
order by spilled_mb desc, query_id
limit 500
