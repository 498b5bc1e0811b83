CREATE TABLE ustat_coupons (
    code_folded TEXT PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    percent INTEGER NOT NULL CHECK (percent BETWEEN 0 AND 100),
    amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0),
    currency TEXT NOT NULL,
    course_id INTEGER REFERENCES ustat_courses (id),
    use_limit INTEGER NOT NULL CHECK (use_limit >= 0),
    per_user INTEGER NOT NULL CHECK (per_user >= 0),
    used INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0),
    starts_at TIMESTAMP,
    ends_at TIMESTAMP,
    active BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL,
    version INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_coupons_course ON ustat_coupons (course_id);
--bun:split
CREATE TABLE ustat_coupon_uses (
    code TEXT NOT NULL REFERENCES ustat_coupons (code),
    user_id INTEGER NOT NULL,
    used INTEGER NOT NULL CHECK (used >= 0),
    PRIMARY KEY (code, user_id)
) WITHOUT ROWID;
--bun:split
CREATE TABLE ustat_orders (
    id TEXT PRIMARY KEY,
    course_id INTEGER NOT NULL REFERENCES ustat_courses (id),
    user_id INTEGER NOT NULL,
    price_minor INTEGER NOT NULL CHECK (price_minor >= 0),
    total_minor INTEGER NOT NULL CHECK (total_minor BETWEEN 0 AND price_minor),
    currency TEXT NOT NULL,
    coupon TEXT REFERENCES ustat_coupons (code),
    status TEXT NOT NULL CHECK (status IN ('pending', 'paid', 'expired', 'refunding', 'refunded')),
    provider TEXT NOT NULL,
    payment TEXT NOT NULL,
    pay_url TEXT NOT NULL,
    code TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    paid_at TIMESTAMP,
    ended_at TIMESTAMP,
    expires_at TIMESTAMP NOT NULL,
    watched BOOLEAN NOT NULL,
    looked_at TIMESTAMP NOT NULL,
    version INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
--bun:split
CREATE UNIQUE INDEX ustat_orders_pending ON ustat_orders (course_id, user_id) WHERE status = 'pending';
--bun:split
CREATE INDEX ustat_orders_course ON ustat_orders (course_id, id);
--bun:split
CREATE INDEX ustat_orders_user ON ustat_orders (user_id, id);
--bun:split
CREATE INDEX ustat_orders_status ON ustat_orders (status, id);
--bun:split
CREATE INDEX ustat_orders_coupon ON ustat_orders (coupon) WHERE coupon IS NOT NULL;
--bun:split
CREATE INDEX ustat_orders_unsettled ON ustat_orders (looked_at, id) WHERE watched;
--bun:split
CREATE TABLE ustat_payment_events (
    provider TEXT NOT NULL,
    id TEXT NOT NULL,
    order_id TEXT NOT NULL REFERENCES ustat_orders (id),
    at TIMESTAMP NOT NULL,
    PRIMARY KEY (provider, id)
) WITHOUT ROWID;
--bun:split
CREATE TABLE ustat_entitlements (
    course_id INTEGER NOT NULL REFERENCES ustat_courses (id),
    user_id INTEGER NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('purchase', 'grant')),
    order_id TEXT REFERENCES ustat_orders (id),
    paid_minor INTEGER NOT NULL CHECK (paid_minor >= 0),
    currency TEXT NOT NULL,
    granted_by INTEGER NOT NULL,
    at TIMESTAMP NOT NULL,
    PRIMARY KEY (course_id, user_id)
) WITHOUT ROWID;
