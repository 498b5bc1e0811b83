CREATE TABLE ustat_coupons (
    code_folded TEXT COLLATE "C" PRIMARY KEY,
    code TEXT COLLATE "C" NOT NULL UNIQUE,
    percent INTEGER NOT NULL CHECK (percent BETWEEN 0 AND 100),
    amount_minor BIGINT NOT NULL CHECK (amount_minor >= 0),
    currency TEXT COLLATE "C" NOT NULL,
    course_id BIGINT REFERENCES ustat_courses (id),
    use_limit BIGINT NOT NULL CHECK (use_limit >= 0),
    per_user BIGINT NOT NULL CHECK (per_user >= 0),
    used BIGINT NOT NULL DEFAULT 0 CHECK (used >= 0),
    starts_at TIMESTAMPTZ,
    ends_at TIMESTAMPTZ,
    active BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    version BIGINT NOT NULL DEFAULT 1
);
--bun:split
CREATE INDEX ustat_coupons_course ON ustat_coupons (course_id);
--bun:split
CREATE TABLE ustat_coupon_uses (
    code TEXT COLLATE "C" NOT NULL REFERENCES ustat_coupons (code),
    user_id BIGINT NOT NULL,
    used BIGINT NOT NULL CHECK (used >= 0),
    PRIMARY KEY (code, user_id)
);
--bun:split
CREATE TABLE ustat_orders (
    id UUID PRIMARY KEY,
    course_id BIGINT NOT NULL REFERENCES ustat_courses (id),
    user_id BIGINT NOT NULL,
    price_minor BIGINT NOT NULL CHECK (price_minor >= 0),
    total_minor BIGINT NOT NULL CHECK (total_minor BETWEEN 0 AND price_minor),
    currency TEXT COLLATE "C" NOT NULL,
    coupon TEXT COLLATE "C" REFERENCES ustat_coupons (code),
    status TEXT COLLATE "C" NOT NULL CHECK (status IN ('pending', 'paid', 'expired', 'refunding', 'refunded')),
    provider TEXT COLLATE "C" NOT NULL,
    payment TEXT COLLATE "C" NOT NULL,
    pay_url TEXT NOT NULL,
    code TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    paid_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ NOT NULL,
    watched BOOLEAN NOT NULL,
    looked_at TIMESTAMPTZ NOT NULL,
    version BIGINT NOT NULL DEFAULT 1
);
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
    provider TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    order_id UUID NOT NULL REFERENCES ustat_orders (id),
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (provider, id)
);
--bun:split
CREATE TABLE ustat_entitlements (
    course_id BIGINT NOT NULL REFERENCES ustat_courses (id),
    user_id BIGINT NOT NULL,
    source TEXT COLLATE "C" NOT NULL CHECK (source IN ('purchase', 'grant')),
    order_id UUID REFERENCES ustat_orders (id),
    paid_minor BIGINT NOT NULL CHECK (paid_minor >= 0),
    currency TEXT COLLATE "C" NOT NULL,
    granted_by BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (course_id, user_id)
);
