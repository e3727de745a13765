-- How full each compute node's disks are, against the other nodes. Sizes in GB; a block is 1 MB.
-- The node type is not in any system table: it is told from the capacity and number of a node's disks.
-- Reads stv_node_storage_capacity, stv_slices, stv_partitions.
with disks as (
    select owner as node, count(*) as disks, max(capacity) as disk_mb
    from stv_partitions
    where host = owner
    group by owner
), slices as (
    select node, count(*) as slices
    from stv_slices
    where type = 'D'
    group by node
)
select n.node,
    case
        when d.disk_mb is null then 'unknown'
        when d.disk_mb = 190633 then 'dc2.large'
        when d.disk_mb in (726296, 760956) then 'dc2.8xlarge'
        when d.disk_mb < 2002943 then 'ra3.large'
        when d.disk_mb = 2002943 and d.disks = 1 then 'ra3.xlplus'
        when d.disks = 1 then 'ra3.4xlarge'
        when d.disks = 4 then 'ra3.16xlarge'
        else 'unknown'
    end as node_type,
    coalesce(s.slices, 0) as slices,
    cast(n.used / 1024.0 as decimal(18, 1)) as used_gb,
    cast(n.capacity / 1024.0 as decimal(18, 1)) as capacity_gb,
    cast((n.capacity - n.used) / 1024.0 as decimal(18, 1)) as free_gb,
    cast(100.0 * n.used / nullif(n.capacity, 0) as decimal(9, 2)) as used_percent,
    cast(100.0 * n.used / nullif(n.capacity, 0) - avg(100.0 * n.used / nullif(n.capacity, 0)) over ()
        as decimal(9, 2)) as off_average_percent
from stv_node_storage_capacity n
left join disks d on d.node = n.node
left join slices s on s.node = n.node
order by n.node
limit 200
