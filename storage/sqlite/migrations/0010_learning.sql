ALTER TABLE ustat_courses ADD COLUMN capacity INTEGER NOT NULL DEFAULT 0 CHECK (capacity >= 0);
--bun:split
ALTER TABLE ustat_courses ADD COLUMN prerequisite_count INTEGER NOT NULL DEFAULT 0;
--bun:split
ALTER TABLE ustat_lessons ADD COLUMN opens_at TIMESTAMP;
--bun:split
ALTER TABLE ustat_lessons ADD COLUMN opens_after_days INTEGER NOT NULL DEFAULT 0 CHECK (opens_after_days >= 0);
--bun:split
CREATE TABLE ustat_enrollments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    course_id INTEGER NOT NULL REFERENCES ustat_courses (id),
    user_id INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('waiting', 'active', 'completed', 'cancelled', 'refunded')),
    source TEXT NOT NULL CHECK (source IN ('free', 'purchase', 'grant', 'import')),
    paid_minor INTEGER NOT NULL CHECK (paid_minor >= 0),
    paid_currency TEXT NOT NULL,
    enrolled_at TIMESTAMP NOT NULL,
    started_at TIMESTAMP,
    completed_at TIMESTAMP,
    ended_at TIMESTAMP,
    resume_lesson_id INTEGER NOT NULL DEFAULT 0,
    resume_seconds INTEGER NOT NULL DEFAULT 0 CHECK (resume_seconds >= 0),
    version INTEGER NOT NULL DEFAULT 1,
    UNIQUE (course_id, user_id)
);
--bun:split
CREATE INDEX ustat_enrollments_user ON ustat_enrollments (user_id, enrolled_at, id);
--bun:split
CREATE INDEX ustat_enrollments_course ON ustat_enrollments (course_id, enrolled_at, id);
--bun:split
CREATE INDEX ustat_enrollments_status ON ustat_enrollments (course_id, status, enrolled_at, id);
--bun:split
CREATE TABLE ustat_progress (
    enrollment_id INTEGER NOT NULL REFERENCES ustat_enrollments (id),
    lesson_id INTEGER NOT NULL,
    completed_at TIMESTAMP NOT NULL,
    PRIMARY KEY (enrollment_id, lesson_id)
) WITHOUT ROWID;
--bun:split
CREATE TABLE ustat_prerequisites (
    course_id INTEGER NOT NULL REFERENCES ustat_courses (id),
    before_id INTEGER NOT NULL REFERENCES ustat_courses (id),
    PRIMARY KEY (course_id, before_id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_prerequisites_before ON ustat_prerequisites (before_id);
--bun:split
CREATE TABLE ustat_bookmarks (
    user_id INTEGER NOT NULL,
    course_id INTEGER NOT NULL REFERENCES ustat_courses (id),
    at TIMESTAMP NOT NULL,
    PRIMARY KEY (user_id, course_id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_bookmarks_latest ON ustat_bookmarks (user_id, at, course_id);
--bun:split
CREATE INDEX ustat_bookmarks_course ON ustat_bookmarks (course_id);
