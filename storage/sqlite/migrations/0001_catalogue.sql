CREATE TABLE ustat_keys (
    name TEXT PRIMARY KEY,
    secret BLOB NOT NULL,
    created_at TIMESTAMP NOT NULL
) WITHOUT ROWID;
--bun:split
CREATE TABLE ustat_outbox (
    id TEXT PRIMARY KEY,
    store TEXT NOT NULL,
    type TEXT NOT NULL,
    version INTEGER NOT NULL,
    subject TEXT NOT NULL,
    actor_id INTEGER NOT NULL,
    at TIMESTAMP NOT NULL,
    payload TEXT NOT NULL,
    done_at TIMESTAMP
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_outbox_pending ON ustat_outbox (store, id) WHERE done_at IS NULL;
--bun:split
CREATE INDEX ustat_outbox_done ON ustat_outbox (done_at) WHERE done_at IS NOT NULL;
--bun:split
CREATE TABLE ustat_audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TIMESTAMP NOT NULL,
    actor_id INTEGER NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT
);
--bun:split
CREATE INDEX ustat_audit_subject ON ustat_audit (subject, id);
--bun:split
CREATE TABLE ustat_idempotency (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL,
    answer BLOB,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_idempotency_age ON ustat_idempotency (created_at);
--bun:split
CREATE TABLE ustat_users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL,
    username_folded TEXT NOT NULL,
    email TEXT NOT NULL,
    email_folded TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('student', 'teacher', 'producer', 'admin')),
    full_name TEXT NOT NULL,
    bio TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
--bun:split
CREATE UNIQUE INDEX ustat_users_username ON ustat_users (username_folded);
--bun:split
CREATE UNIQUE INDEX ustat_users_email ON ustat_users (email_folded);
--bun:split
CREATE INDEX ustat_users_role_username ON ustat_users (role, username_folded);
--bun:split
CREATE INDEX ustat_users_role_email ON ustat_users (role, email_folded);
--bun:split
CREATE INDEX ustat_users_active ON ustat_users (role, id) WHERE active;
--bun:split
CREATE TABLE ustat_profiles (
    user_id INTEGER PRIMARY KEY REFERENCES ustat_users (id),
    slug TEXT NOT NULL UNIQUE
);
--bun:split
CREATE TABLE ustat_categories (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    parent_id INTEGER REFERENCES ustat_categories (id),
    course_count INTEGER NOT NULL DEFAULT 0
);
--bun:split
CREATE INDEX ustat_categories_parent ON ustat_categories (parent_id);
--bun:split
CREATE TABLE ustat_tags (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL
);
--bun:split
CREATE TABLE ustat_courses (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    requirements TEXT NOT NULL,
    language TEXT NOT NULL,
    lang TEXT NOT NULL,
    price_minor INTEGER NOT NULL CHECK (price_minor >= 0),
    currency TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('draft', 'review', 'published', 'archived')),
    teacher_id INTEGER NOT NULL REFERENCES ustat_users (id),
    category_id INTEGER REFERENCES ustat_categories (id),
    title_words INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    published_at TIMESTAMP
);
--bun:split
CREATE INDEX ustat_courses_newest ON ustat_courses (status, created_at, id);
--bun:split
CREATE INDEX ustat_courses_category_newest ON ustat_courses (category_id, status, created_at, id);
--bun:split
CREATE INDEX ustat_courses_teacher_newest ON ustat_courses (teacher_id, status, created_at, id);
--bun:split
CREATE INDEX ustat_courses_lang_newest ON ustat_courses (lang, status, created_at, id);
--bun:split
CREATE INDEX ustat_courses_price ON ustat_courses (status, currency, price_minor, id);
--bun:split
CREATE INDEX ustat_courses_category_price ON ustat_courses (category_id, status, currency, price_minor, id);
--bun:split
CREATE INDEX ustat_courses_teacher_price ON ustat_courses (teacher_id, status, currency, price_minor, id);
--bun:split
CREATE INDEX ustat_courses_lang_price ON ustat_courses (lang, status, currency, price_minor, id);
--bun:split
CREATE TABLE ustat_course_stats (
    course_id INTEGER PRIMARY KEY REFERENCES ustat_courses (id),
    status TEXT NOT NULL,
    category_id INTEGER,
    teacher_id INTEGER NOT NULL,
    lang TEXT NOT NULL,
    review_count INTEGER NOT NULL DEFAULT 0,
    rating_sum INTEGER NOT NULL DEFAULT 0,
    rating_rank INTEGER NOT NULL DEFAULT 0,
    students INTEGER NOT NULL DEFAULT 0,
    completions INTEGER NOT NULL DEFAULT 0
);
--bun:split
CREATE INDEX ustat_stats_rating ON ustat_course_stats (status, rating_rank, course_id);
--bun:split
CREATE INDEX ustat_stats_category_rating ON ustat_course_stats (category_id, status, rating_rank, course_id);
--bun:split
CREATE INDEX ustat_stats_teacher_rating ON ustat_course_stats (teacher_id, status, rating_rank, course_id);
--bun:split
CREATE INDEX ustat_stats_lang_rating ON ustat_course_stats (lang, status, rating_rank, course_id);
--bun:split
CREATE INDEX ustat_stats_popular ON ustat_course_stats (status, students, course_id);
--bun:split
CREATE INDEX ustat_stats_category_popular ON ustat_course_stats (category_id, status, students, course_id);
--bun:split
CREATE INDEX ustat_stats_teacher_popular ON ustat_course_stats (teacher_id, status, students, course_id);
--bun:split
CREATE INDEX ustat_stats_lang_popular ON ustat_course_stats (lang, status, students, course_id);
--bun:split
CREATE TABLE ustat_course_tags (
    course_id INTEGER NOT NULL REFERENCES ustat_courses (id),
    tag_id INTEGER NOT NULL REFERENCES ustat_tags (id),
    status TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    currency TEXT NOT NULL,
    price_minor INTEGER NOT NULL,
    PRIMARY KEY (course_id, tag_id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_course_tags_newest ON ustat_course_tags (tag_id, status, created_at, course_id);
--bun:split
CREATE INDEX ustat_course_tags_price ON ustat_course_tags (tag_id, status, currency, price_minor, course_id);
--bun:split
CREATE VIRTUAL TABLE ustat_course_fts USING fts5 (
    title, tags, body, content='', contentless_delete=1, tokenize="ascii tokenchars '+#.'"
);
--bun:split
CREATE TABLE ustat_modules (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    course_id INTEGER NOT NULL REFERENCES ustat_courses (id),
    position INTEGER NOT NULL CHECK (position > 0),
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    UNIQUE (course_id, position)
);
--bun:split
CREATE TABLE ustat_lessons (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    module_id INTEGER NOT NULL REFERENCES ustat_modules (id),
    course_id INTEGER NOT NULL REFERENCES ustat_courses (id),
    position INTEGER NOT NULL CHECK (position > 0),
    title TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('text', 'video', 'file')),
    content TEXT NOT NULL,
    duration_seconds INTEGER NOT NULL CHECK (duration_seconds >= 0),
    free_preview BOOLEAN NOT NULL,
    UNIQUE (module_id, position)
);
--bun:split
CREATE INDEX ustat_lessons_course ON ustat_lessons (course_id);
