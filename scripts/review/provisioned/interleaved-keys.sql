-- Interleaved sort keys and how far their values have drifted since the last VACUUM REINDEX. 1.00 is no skew.
-- Reads svv_interleaved_columns, svv_table_info.
select trim(i."schema") as schema_name,
    trim(i."table") as table_name,
    c.col as column_number,
    c.interleaved_skew,
    c.last_reindex
from svv_interleaved_columns c
join svv_table_info i on i.table_id = c.tbl
order by c.interleaved_skew desc, schema_name, table_name, column_number
limit 500
