-- A batch in one transaction: build a table, fill it, look at it.
DROP TABLE IF EXISTS monthly;
CREATE TABLE monthly DISTSTYLE EVEN AS
SELECT DATE_TRUNC('month', ordered_at)::DATE AS month, SUM(amount) AS revenue FROM orders GROUP BY 1;
DELETE FROM monthly WHERE revenue IS NULL;
SELECT TOP 3 month, revenue FROM monthly ORDER BY revenue DESC;
