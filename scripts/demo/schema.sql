-- A shop: customers and their orders. Three statements, sent as one batch in one transaction.
DROP TABLE IF EXISTS orders;
DROP TABLE IF EXISTS customers;

CREATE TABLE customers (
    customer_id INTEGER NOT NULL ENCODE az64,
    name        VARCHAR(40) NOT NULL ENCODE lzo,
    country     CHAR(2) NOT NULL ENCODE bytedict,
    since       DATE NOT NULL,
    PRIMARY KEY (customer_id)
)
DISTSTYLE ALL
SORTKEY (customer_id);

CREATE TABLE orders (
    order_id    BIGINT IDENTITY(1, 1),
    customer_id INTEGER NOT NULL REFERENCES customers (customer_id),
    ordered_at  TIMESTAMP NOT NULL,
    amount      DECIMAL(12, 2) NOT NULL,
    note        VARCHAR(MAX)
)
DISTKEY (customer_id)
COMPOUND SORTKEY (ordered_at, customer_id);
