-- What COPY fetched from Amazon S3, by bucket: sizes on the wire against sizes after decompression, and repeated requests. The
-- analysis that COPY makes before a load is not counted.
-- Reads stl_s3client, stl_query.
select trim(c.bucket) as bucket,
    count(*) as requests,
    count(distinct c.query) as loads,
    cast(sum(c.transfer_size) / 1048576.0 as decimal(18, 1)) as transferred_mb,
    cast(sum(c.data_size) / 1048576.0 as decimal(18, 1)) as data_mb,
    cast(sum(c.data_size) * 1.0 / nullif(sum(c.transfer_size), 0) as decimal(18, 2)) as compression_ratio,
    cast(sum(case when c.transfer_size = c.data_size then c.transfer_size else 0 end) / 1048576.0
        as decimal(18, 1)) as uncompressed_mb,
    sum(c.retries) as retries
from stl_s3client c
join stl_query q on q.query = c.query
where c.recordtime >= dateadd(day, -1 * cast(:days as integer), getdate())
    and trim(c.http_method) = 'GET'
    and c.transfer_size > 0
    and c.userid > 1
    and q.querytxt not like 'COPY ANALYZE%'
group by 1
order by transferred_mb desc, bucket
limit 200
