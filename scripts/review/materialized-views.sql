-- Materialized views: whether they are fresh, and how they can be refreshed. state 0: only by computing all of it again, 1: by
-- what changed, 101 and up: not at all since a table below changed.
-- Reads svv_mv_info.
select trim(schema_name) as schema_name,
    trim(name) as view_name,
    trim(user_name) as owner,
    trim(is_stale) as stale,
    state,
    trim(autorewrite) in ('t', '1') as autorewrite,
    trim(autorefresh) in ('t', '1') as autorefresh
from svv_mv_info
where schema_name <> 'pg_automv'
order by schema_name, view_name
limit 500
