-- What the review's login may see: one row. Superusers and holders of sys:monitor (sys:operator and sys:dba include it) see every
-- row of the system views, others only their own statements.
-- Reads svv_user_info, svv_user_grants.
with monitors as (
    select user_name, count(*) as roles
    from svv_user_grants
    where role_name in ('sys:monitor', 'sys:operator', 'sys:dba', 'sys:superuser')
    group by user_name
)
select u.user_name as login,
    u.superuser,
    coalesce(m.roles, 0) > 0 as monitor_role,
    u.syslog_access,
    u.superuser or coalesce(m.roles, 0) > 0 as sees_everything
from svv_user_info u
left join monitors m on m.user_name = u.user_name
where u.user_name = current_user
order by u.user_name
limit 1
