-- One row per month that earned more than :minimum, without the country :left_out. Values are bound, never pasted.
SELECT DATE_TRUNC('month', o.ordered_at)::DATE AS month,
       COUNT(*) AS orders,
       SUM(o.amount) AS revenue,
       LISTAGG(DISTINCT c.country, ' ') WITHIN GROUP (ORDER BY c.country) AS countries
FROM orders o
JOIN customers c ON c.customer_id = o.customer_id
WHERE c.country <> :left_out
GROUP BY 1
HAVING SUM(o.amount) > :minimum
ORDER BY 1
LIMIT 5;
