CREATE TABLE ustat_lesson_files (
    id UUID PRIMARY KEY,
    course_id BIGINT NOT NULL,
    lesson_id BIGINT REFERENCES ustat_lessons (id) ON DELETE SET NULL,
    kind TEXT NOT NULL CHECK (kind IN ('video', 'file')),
    name TEXT NOT NULL,
    uploaded_by BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('uploading', 'processing', 'ready', 'refused', 'replaced')),
    code TEXT NOT NULL,
    raw_key TEXT NOT NULL,
    clean_key TEXT NOT NULL,
    type TEXT NOT NULL,
    size BIGINT NOT NULL CHECK (size >= 0),
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    CHECK ((state = 'ready') = (expires_at IS NULL))
);
--bun:split
CREATE INDEX ustat_lesson_files_lesson ON ustat_lesson_files (lesson_id, id);
--bun:split
CREATE UNIQUE INDEX ustat_lesson_files_ready ON ustat_lesson_files (lesson_id) WHERE state = 'ready';
--bun:split
CREATE INDEX ustat_lesson_files_expiry ON ustat_lesson_files (expires_at) WHERE expires_at IS NOT NULL;
--bun:split
CREATE INDEX ustat_lesson_files_orphans ON ustat_lesson_files (id) WHERE lesson_id IS NULL;
