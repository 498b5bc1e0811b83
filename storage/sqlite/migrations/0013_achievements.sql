CREATE TABLE ustat_awards (
    user_id INTEGER NOT NULL REFERENCES ustat_users (id),
    code TEXT NOT NULL,
    awarded_at TIMESTAMP NOT NULL,
    PRIMARY KEY (user_id, code)
) WITHOUT ROWID;
