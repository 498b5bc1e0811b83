-- What courses, modules, lessons, categories and tags say in other languages. The sources are
-- hashes of the texts that a translation was made of, empty where it has none.
CREATE TABLE ustat_course_translations (
    object_id INTEGER NOT NULL REFERENCES ustat_courses (id) ON DELETE CASCADE,
    language TEXT NOT NULL CHECK (language <> ''),
    title TEXT NOT NULL CHECK (title <> ''),
    description TEXT NOT NULL,
    requirements TEXT NOT NULL,
    text_policy INTEGER NOT NULL,
    title_source TEXT NOT NULL,
    description_source TEXT NOT NULL,
    requirements_source TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (object_id, language)
);
--bun:split
CREATE TABLE ustat_module_translations (
    object_id INTEGER NOT NULL REFERENCES ustat_modules (id) ON DELETE CASCADE,
    language TEXT NOT NULL CHECK (language <> ''),
    title TEXT NOT NULL CHECK (title <> ''),
    description TEXT NOT NULL,
    requirements TEXT NOT NULL,
    text_policy INTEGER NOT NULL,
    title_source TEXT NOT NULL,
    description_source TEXT NOT NULL,
    requirements_source TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (object_id, language)
);
--bun:split
CREATE TABLE ustat_lesson_translations (
    object_id INTEGER NOT NULL REFERENCES ustat_lessons (id) ON DELETE CASCADE,
    language TEXT NOT NULL CHECK (language <> ''),
    title TEXT NOT NULL CHECK (title <> ''),
    description TEXT NOT NULL,
    requirements TEXT NOT NULL,
    text_policy INTEGER NOT NULL,
    title_source TEXT NOT NULL,
    description_source TEXT NOT NULL,
    requirements_source TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (object_id, language)
);
--bun:split
CREATE TABLE ustat_category_translations (
    object_id INTEGER NOT NULL REFERENCES ustat_categories (id) ON DELETE CASCADE,
    language TEXT NOT NULL CHECK (language <> ''),
    title TEXT NOT NULL CHECK (title <> ''),
    description TEXT NOT NULL,
    requirements TEXT NOT NULL,
    text_policy INTEGER NOT NULL,
    title_source TEXT NOT NULL,
    description_source TEXT NOT NULL,
    requirements_source TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (object_id, language)
);
--bun:split
CREATE TABLE ustat_tag_translations (
    object_id INTEGER NOT NULL REFERENCES ustat_tags (id) ON DELETE CASCADE,
    language TEXT NOT NULL CHECK (language <> ''),
    title TEXT NOT NULL CHECK (title <> ''),
    description TEXT NOT NULL,
    requirements TEXT NOT NULL,
    text_policy INTEGER NOT NULL,
    title_source TEXT NOT NULL,
    description_source TEXT NOT NULL,
    requirements_source TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (object_id, language)
);
