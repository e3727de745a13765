-- What automatic table optimization did to each table, and with what outcome. The text before the first colon is the outcome.
-- Reads sys_auto_table_optimization.
select table_id,
    trim(alter_table_type) as kind,
    trim(split_part(status, ':', 1)) as outcome,
    count(*) as times,
    trim(max(status)) as example,
    min(event_time) as first_time,
    max(event_time) as last_time
from sys_auto_table_optimization
where event_time >= dateadd(day, -1 * cast(:days as integer), getdate())
group by 1, 2, 3
order by times desc, table_id, kind, outcome
limit 500
