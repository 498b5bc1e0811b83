ALTER TABLE ustat_users ADD COLUMN phone TEXT NOT NULL DEFAULT '';
--bun:split
ALTER TABLE ustat_users ADD COLUMN email_verified BOOLEAN NOT NULL DEFAULT FALSE;
--bun:split
ALTER TABLE ustat_users ADD COLUMN last_login TIMESTAMP;
--bun:split
ALTER TABLE ustat_users ADD COLUMN auth_version INTEGER NOT NULL DEFAULT 1 CHECK (auth_version > 0);
--bun:split
ALTER TABLE ustat_users ADD COLUMN version INTEGER NOT NULL DEFAULT 1 CHECK (version > 0);
--bun:split
ALTER TABLE ustat_profiles ADD COLUMN links TEXT NOT NULL DEFAULT '[]';
--bun:split
ALTER TABLE ustat_profiles ADD COLUMN rating INTEGER NOT NULL DEFAULT 0 CHECK (rating BETWEEN 0 AND 500);
--bun:split
ALTER TABLE ustat_profiles ADD COLUMN version INTEGER NOT NULL DEFAULT 1 CHECK (version > 0);
--bun:split
ALTER TABLE ustat_profiles ADD COLUMN listed BOOLEAN NOT NULL DEFAULT FALSE;
--bun:split
UPDATE ustat_profiles SET listed = TRUE WHERE user_id IN (SELECT id FROM ustat_users WHERE active AND role <> 'student');
--bun:split
CREATE INDEX ustat_profiles_listed ON ustat_profiles (slug) WHERE listed;
--bun:split
CREATE TABLE ustat_specializations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL
);
--bun:split
CREATE TABLE ustat_profile_specializations (
    user_id INTEGER NOT NULL REFERENCES ustat_profiles (user_id),
    specialization_id INTEGER NOT NULL REFERENCES ustat_specializations (id),
    PRIMARY KEY (user_id, specialization_id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_profile_specializations_of ON ustat_profile_specializations (specialization_id, user_id);
--bun:split
CREATE TABLE ustat_producer_teachers (
    producer_id INTEGER NOT NULL REFERENCES ustat_users (id),
    teacher_id INTEGER NOT NULL REFERENCES ustat_users (id),
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (producer_id, teacher_id),
    CHECK (producer_id <> teacher_id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_producer_teachers_of ON ustat_producer_teachers (teacher_id);
--bun:split
CREATE TABLE ustat_sessions (
    id TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES ustat_users (id),
    network TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    revoked_at TIMESTAMP
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_sessions_alive ON ustat_sessions (user_id, network) WHERE revoked_at IS NULL;
--bun:split
CREATE TABLE ustat_refresh_tokens (
    hash BLOB PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES ustat_sessions (id),
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    used_at TIMESTAMP
) WITHOUT ROWID;
--bun:split
CREATE UNIQUE INDEX ustat_refresh_tokens_unused ON ustat_refresh_tokens (session_id) WHERE used_at IS NULL;
--bun:split
CREATE INDEX ustat_refresh_tokens_expiry ON ustat_refresh_tokens (expires_at);
