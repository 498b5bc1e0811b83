CREATE TABLE ustat_reindex (
    last_id INTEGER NOT NULL
);
--bun:split
INSERT INTO ustat_reindex (last_id) SELECT 0 WHERE EXISTS (SELECT 1 FROM ustat_courses WHERE text_policy = 0);
--bun:split
ALTER TABLE ustat_profile_specializations ADD COLUMN slug TEXT NOT NULL DEFAULT '';
--bun:split
UPDATE ustat_profile_specializations SET slug = (SELECT p.slug FROM ustat_profiles AS p WHERE p.user_id = ustat_profile_specializations.user_id);
--bun:split
DROP INDEX ustat_profile_specializations_of;
--bun:split
CREATE INDEX ustat_profile_specializations_of ON ustat_profile_specializations (specialization_id, slug);
