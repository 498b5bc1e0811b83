CREATE TABLE ustat_awards (
    user_id BIGINT NOT NULL REFERENCES ustat_users (id),
    code TEXT NOT NULL,
    awarded_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, code)
);
