-- Sixty-four billion pairs: only its time limit ends it.
SELECT COUNT(*) FROM orders a, orders b, orders c WHERE a.amount + b.amount > c.amount;
