-- Time that COPY spent on choosing encodings before it loaded, by day.
-- Reads stl_query.
select trunc(starttime) as day,
    count(*) as analyses,
    cast(sum(datediff(millisecond, starttime, endtime)) / 1000.0 as decimal(18, 1)) as seconds
from stl_query
where starttime >= dateadd(day, -1 * cast(:days as integer), getdate())
    and (querytxt ilike 'analyze compression phase%' or querytxt like 'COPY ANALYZE%')
    and userid > 1
group by 1
order by day
limit 366
