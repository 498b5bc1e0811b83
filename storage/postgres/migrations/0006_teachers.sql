ALTER TABLE ustat_courses DROP CONSTRAINT ustat_courses_teacher_id_fkey;
--bun:split
CREATE INDEX ustat_sessions_user ON ustat_sessions (user_id);
