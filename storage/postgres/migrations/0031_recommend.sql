-- What learners did with courses. The slot is the day of a view, and 0 of the other kinds.
CREATE TABLE ustat_interactions (
    user_id BIGINT NOT NULL,
    course_id BIGINT NOT NULL,
    kind BIGINT NOT NULL CHECK (kind BETWEEN 1 AND 4),
    slot BIGINT NOT NULL,
    id UUID NOT NULL,
    category_id BIGINT NOT NULL,
    variant TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, course_id, kind, slot),
    UNIQUE (user_id, id)
);
--bun:split
CREATE INDEX ustat_interactions_latest ON ustat_interactions (user_id, at);
--bun:split
CREATE INDEX ustat_interactions_course ON ustat_interactions (course_id);
--bun:split
-- What the weights of categories have grown by, as it counts at a fixed time.
CREATE TABLE ustat_preferences (
    user_id BIGINT NOT NULL,
    category_id BIGINT NOT NULL,
    growth DOUBLE PRECISION NOT NULL CHECK (growth >= 0),
    PRIMARY KEY (user_id, category_id)
);
--bun:split
CREATE TABLE ustat_dismissals (
    user_id BIGINT NOT NULL,
    course_id BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, course_id)
);
--bun:split
CREATE INDEX ustat_dismissals_latest ON ustat_dismissals (user_id, at, course_id);
--bun:split
CREATE INDEX ustat_dismissals_course ON ustat_dismissals (course_id);
