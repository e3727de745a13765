-- Query monitoring rules by queue, and how often each acted in the last days.
-- Reads stv_wlm_qmr_config, stl_wlm_rule_action.
with acted as (
    select service_class, trim(rule) as rule_name, count(*) as times, count(distinct query) as queries, max(recordtime) as last_time
    from stl_wlm_rule_action
    where recordtime >= dateadd(day, -1 * cast(:days as integer), getdate())
    group by service_class, trim(rule)
)
select c.service_class,
    trim(c.rule_name) as rule_name,
    trim(c.action) as action,
    trim(c.metric_name) as metric,
    trim(c.metric_operator) as operator,
    c.metric_value,
    coalesce(a.times, 0) as times,
    coalesce(a.queries, 0) as queries,
    a.last_time
from stv_wlm_qmr_config c
left join acted a on a.service_class = c.service_class and a.rule_name = trim(c.rule_name)
order by c.service_class, rule_name, metric
limit 200
