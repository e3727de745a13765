-- Log-ins by user, program and driver, with the oldest TLS version they used and the attempts that failed.
-- Reads sys_connection_log.
select trim(user_name) as login,
    trim(application_name) as application,
    trim(driver_version) as driver,
    sum(case when trim(event) = 'authenticated' then 1 else 0 end) as logins,
    sum(case when trim(event) = 'authentication failure' then 1 else 0 end) as failures,
    min(case when trim(event) = 'authenticated' then trim(ssl_version) end) as oldest_tls,
    sum(case when trim(event) = 'authenticated' and trim(ssl_version) = '' then 1 else 0 end) as unencrypted,
    max(record_time) as last_time
from sys_connection_log
where record_time >= dateadd(day, -1 * cast(:days as integer), getdate())
    and trim(event) in ('authenticated', 'authentication failure')
    and trim(user_name) <> 'rdsdb'
group by 1, 2, 3
order by failures desc, logins desc, login, application, driver
limit 500
