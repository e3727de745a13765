-- Queries that ran out of memory and wrote intermediate results to disk, the largest first, with a step that spilled.
-- sys_query_detail has rows for steps and for what they add up to, so the larger of the two sums counts. A block is 1 MB.
-- Reads sys_query_detail, sys_query_history.
with spilled as (
    select query_id,
        greatest(
            sum(case
                when step_id >= 0 then coalesce(spilled_block_local_disk, 0) + coalesce(spilled_block_remote_disk, 0)
                else 0
            end),
            max(coalesce(spilled_block_local_disk, 0) + coalesce(spilled_block_remote_disk, 0))) as spilled_mb,
        sum(case when step_id >= 0 then 1 else 0 end) as disk_steps,
        max(step_name) as example_step
    from sys_query_detail
    where coalesce(spilled_block_local_disk, 0) + coalesce(spilled_block_remote_disk, 0) > 0
        and start_time >= dateadd(day, -1 * cast(:days as integer), getdate())
        and user_id > 1
    group by query_id
)
select s.query_id,
    h.start_time,
    cast(h.elapsed_time / 1000000.0 as decimal(18, 1)) as seconds,
    s.spilled_mb,
    s.disk_steps,
    s.example_step,
    cast(null as decimal(18, 1)) as memory_mb,
    left(translate(trim(h.query_text), chr(10) || chr(13) || chr(9), '   '), 200) as query_text
from spilled s
join sys_query_history h on h.query_id = s.query_id
order by s.spilled_mb desc, s.query_id
limit 500
