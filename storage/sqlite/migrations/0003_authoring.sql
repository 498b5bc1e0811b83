ALTER TABLE ustat_categories ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
--bun:split
ALTER TABLE ustat_tags ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
--bun:split
ALTER TABLE ustat_courses ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
--bun:split
ALTER TABLE ustat_modules ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
--bun:split
ALTER TABLE ustat_lessons ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
--bun:split
ALTER TABLE ustat_courses ADD COLUMN text_policy INTEGER NOT NULL DEFAULT 0;
--bun:split
ALTER TABLE ustat_modules ADD COLUMN text_policy INTEGER NOT NULL DEFAULT 0;
--bun:split
ALTER TABLE ustat_lessons ADD COLUMN text_policy INTEGER NOT NULL DEFAULT 0;
--bun:split
ALTER TABLE ustat_courses ADD COLUMN rejection TEXT NOT NULL DEFAULT '';
--bun:split
CREATE TABLE ustat_course_slugs (
    slug TEXT PRIMARY KEY,
    course_id INTEGER NOT NULL REFERENCES ustat_courses (id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_course_slugs_course ON ustat_course_slugs (course_id);
