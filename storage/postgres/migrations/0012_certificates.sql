CREATE TABLE ustat_certificates (
    enrollment_id BIGINT PRIMARY KEY REFERENCES ustat_enrollments (id),
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    course_title TEXT NOT NULL,
    teacher_name TEXT NOT NULL,
    language TEXT NOT NULL,
    completed_at TIMESTAMPTZ NOT NULL,
    issued_at TIMESTAMPTZ NOT NULL
);
