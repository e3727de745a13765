-- Requests of this warehouse, as a consumer, to the producers of data shares.
-- Reads sys_datashare_usage_consumer.
select trunc(record_time) as day,
    trim(request_type) as request_type,
    count(*) as requests,
    sum(case when status <> 0 or trim(error) <> '' then 1 else 0 end) as failed,
    trim(max(error)) as example_error
from sys_datashare_usage_consumer
where record_time >= dateadd(day, -1 * cast(:days as integer), getdate())
group by 1, 2
order by day, request_type
limit 500
