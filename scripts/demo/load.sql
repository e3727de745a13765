-- A stored procedure fills the shop with the same rows every time. The semicolons between the dollar quotes
-- belong to the procedure; a script is not simply cut at semicolons.
CREATE OR REPLACE PROCEDURE fill_shop(customer_count INTEGER, order_count INTEGER)
AS $shop$
DECLARE
    filled BIGINT;
BEGIN
    INSERT INTO customers
    WITH RECURSIVE numbers(n) AS (
        SELECT 1
        UNION ALL
        SELECT n + 1 FROM numbers WHERE n < customer_count
    )
    SELECT n,
           'Customer ' + n::VARCHAR,
           DECODE(MOD(n, 4), 0, 'DE', 1, 'FR', 2, 'IT', 'NL'),
           DATEADD(day, MOD(n * 37, 1500), '2020-01-01'::DATE)::DATE
    FROM numbers;

    INSERT INTO orders (customer_id, ordered_at, amount, note)
    WITH RECURSIVE numbers(n) AS (
        SELECT 1
        UNION ALL
        SELECT n + 1 FROM numbers WHERE n < order_count
    )
    SELECT MOD(n * 7919, customer_count) + 1,
           DATEADD(minute, n * 131, '2025-01-01 00:00:00'::TIMESTAMP),
           ROUND(MOD(n * 104729, 50000) / 100.0, 2),
           CASE WHEN MOD(n, 10) = 0 THEN 'gift; wrapped' END
    FROM numbers;

    SELECT COUNT(*) INTO filled FROM orders;
    RAISE INFO 'orders filled: %', filled;
END;
$shop$ LANGUAGE plpgsql;

CALL fill_shop(500, 4000);
ANALYZE orders;
