-- Data shares, given and received.
-- Reads svv_datashares.
select share_name,
    share_type,
    source_database,
    consumer_database,
    is_publicaccessible as public,
    managed_by,
    producer_account,
    createdate as created
from svv_datashares
order by share_type, share_name, producer_account
limit 500
