-- Ends well, but its completion event never arrives.
SELECT COUNT(*) AS customers FROM customers;
