-- Changes of distribution, sort key and encoding that Amazon Redshift Advisor has worked out from the queries that ran.
-- Statements with one group_id belong together; -1 stands alone.
-- Reads svv_alter_table_recommendations.
select trim(type) as kind,
    trim(database) as database_name,
    table_id,
    group_id,
    trim(ddl) as statement,
    trim(auto_eligible) as auto_eligible
from svv_alter_table_recommendations
order by group_id, table_id, kind
limit 500
