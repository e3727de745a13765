-- Transactions open now, how long, and the locks they hold or wait for.
-- Reads svv_transactions.
select txn_owner as login,
    txn_db as database_name,
    xid,
    pid,
    min(txn_start) as started,
    cast(datediff(second, min(txn_start), getdate()) / 60.0 as decimal(18, 1)) as minutes_open,
    sum(case when lockable_object_type = 'relation' then 1 else 0 end) as table_locks,
    sum(case
        when lockable_object_type = 'relation' and lock_mode = 'AccessExclusiveLock' and granted then 1
        else 0
    end) as exclusive_locks,
    sum(case when granted then 0 else 1 end) as waiting_locks
from svv_transactions
where pid <> pg_backend_pid()
group by 1, 2, 3, 4
order by minutes_open desc, xid
limit 200
