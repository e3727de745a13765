-- How the columns of each table are encoded and keyed. The first sort key column is left out of the encoding count, as it is to
-- stay raw. text_dates: character columns that are named like a date.
-- Reads svv_redshift_columns.
select schema_name,
    table_name,
    count(*) as columns,
    sum(case
        when sortkey not in (1, -1) and lower(coalesce(encoding, 'none')) in ('none', 'raw', '') then 1
        else 0
    end) as raw_columns,
    cast(100.0 * sum(case
            when sortkey in (1, -1) or lower(coalesce(encoding, 'none')) not in ('none', 'raw', '') then 1
            else 0
        end) / count(*) as decimal(9, 2)) as encoded_percent,
    max(case when distkey then column_name end) as dist_key,
    max(case when distkey then data_type end) as dist_key_type,
    sum(case when sortkey <> 0 then 1 else 0 end) as sortkey_columns,
    min(sortkey) < 0 as interleaved,
    sum(case
        when data_type like 'character%'
            and (right(column_name, 5) = '_date' or right(column_name, 3) = '_at' or left(column_name, 5) = 'date_') then 1
        else 0
    end) as text_dates
from svv_redshift_columns
where database_name = current_database()
    and schema_name not in ('pg_catalog', 'pg_internal', 'pg_automv', 'information_schema')
group by schema_name, table_name
order by schema_name, table_name
limit 2000
