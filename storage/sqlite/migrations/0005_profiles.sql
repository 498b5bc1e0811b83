CREATE TABLE ustat_profile_slugs (
    slug TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES ustat_users (id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_profile_slugs_user ON ustat_profile_slugs (user_id);
--bun:split
INSERT INTO ustat_profile_slugs (slug, user_id) SELECT slug, user_id FROM ustat_profiles;
