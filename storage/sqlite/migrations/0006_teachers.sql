ALTER TABLE ustat_courses ADD COLUMN teacher INTEGER NOT NULL DEFAULT 0;
--bun:split
UPDATE ustat_courses SET teacher = teacher_id;
--bun:split
DROP INDEX ustat_courses_teacher_newest;
--bun:split
DROP INDEX ustat_courses_teacher_price;
--bun:split
ALTER TABLE ustat_courses DROP COLUMN teacher_id;
--bun:split
ALTER TABLE ustat_courses RENAME COLUMN teacher TO teacher_id;
--bun:split
CREATE INDEX ustat_courses_teacher_newest ON ustat_courses (teacher_id, status, created_at, id);
--bun:split
CREATE INDEX ustat_courses_teacher_price ON ustat_courses (teacher_id, status, currency, price_minor, id);
--bun:split
CREATE INDEX ustat_sessions_user ON ustat_sessions (user_id);
