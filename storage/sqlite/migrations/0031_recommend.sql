-- What learners did with courses. The slot is the day of a view, and 0 of the other kinds.
CREATE TABLE ustat_interactions (
    user_id INTEGER NOT NULL,
    course_id INTEGER NOT NULL,
    kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 4),
    slot INTEGER NOT NULL,
    id TEXT NOT NULL,
    category_id INTEGER NOT NULL,
    variant TEXT NOT NULL,
    at TIMESTAMP NOT NULL,
    PRIMARY KEY (user_id, course_id, kind, slot),
    UNIQUE (user_id, id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_interactions_latest ON ustat_interactions (user_id, at);
--bun:split
CREATE INDEX ustat_interactions_course ON ustat_interactions (course_id);
--bun:split
-- What the weights of categories have grown by, as it counts at a fixed time.
CREATE TABLE ustat_preferences (
    user_id INTEGER NOT NULL,
    category_id INTEGER NOT NULL,
    growth REAL NOT NULL CHECK (growth >= 0),
    PRIMARY KEY (user_id, category_id)
) WITHOUT ROWID;
--bun:split
CREATE TABLE ustat_dismissals (
    user_id INTEGER NOT NULL,
    course_id INTEGER NOT NULL,
    at TIMESTAMP NOT NULL,
    PRIMARY KEY (user_id, course_id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_dismissals_latest ON ustat_dismissals (user_id, at, course_id);
--bun:split
CREATE INDEX ustat_dismissals_course ON ustat_dismissals (course_id);
