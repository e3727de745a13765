-- Fails in its second statement; the first is rolled back with it.
INSERT INTO monthly (month, revenue) VALUES ('1999-01-01', 1);
SELECT revenue FROM monthly_by_region;
