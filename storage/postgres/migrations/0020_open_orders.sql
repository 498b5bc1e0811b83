-- The orders of a user that their provider is still asked about.
CREATE INDEX ustat_orders_open ON ustat_orders (user_id) WHERE watched;
--bun:split
-- Who has ordered: the row is the lock under which a user's open orders are counted.
CREATE TABLE ustat_buyers (user_id BIGINT PRIMARY KEY);
