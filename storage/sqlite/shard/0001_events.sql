-- One row: what the writers of a shard look at first. Each that changes it makes version
-- one more, so that the others read buckets (JSON: bucket -> [epoch, state]) when it has
-- changed.
CREATE TABLE ustat_analytics_shard (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    pruned_before INTEGER NOT NULL,
    buckets TEXT NOT NULL
);
--bun:split
INSERT INTO ustat_analytics_shard (one, version, pruned_before, buckets) VALUES (1, 1, 0, '{}');
--bun:split
-- Raw events; times are microseconds since 1970.
CREATE TABLE ustat_analytics_events (
    course_id INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    id BLOB NOT NULL,
    type INTEGER NOT NULL,
    lesson_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    session TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    properties TEXT,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (course_id, occurred_at, id)
) WITHOUT ROWID;
--bun:split
-- All of a course. A negative course_id is a bucket of what belongs to no course. Times in
-- this and the following tables are microseconds since 1970.
CREATE TABLE ustat_analytics_totals (
    course_id INTEGER PRIMARY KEY,
    bucket INTEGER NOT NULL,
    events INTEGER NOT NULL DEFAULT 0,
    views INTEGER NOT NULL DEFAULT 0,
    lesson_starts INTEGER NOT NULL DEFAULT 0,
    lesson_completions INTEGER NOT NULL DEFAULT 0,
    bookmarks INTEGER NOT NULL DEFAULT 0,
    reviews INTEGER NOT NULL DEFAULT 0,
    purchases INTEGER NOT NULL DEFAULT 0,
    refunds INTEGER NOT NULL DEFAULT 0,
    enrollments INTEGER NOT NULL DEFAULT 0,
    starts INTEGER NOT NULL DEFAULT 0,
    completions INTEGER NOT NULL DEFAULT 0,
    unique_viewers INTEGER NOT NULL DEFAULT 0,
    completion_rate INTEGER NOT NULL DEFAULT 0,
    first_at INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL DEFAULT 0
);
--bun:split
CREATE INDEX ustat_analytics_totals_bucket ON ustat_analytics_totals (bucket, course_id);
--bun:split
CREATE INDEX ustat_analytics_totals_views ON ustat_analytics_totals (views DESC, course_id) WHERE course_id > 0;
--bun:split
CREATE INDEX ustat_analytics_totals_completion ON ustat_analytics_totals (completion_rate DESC, course_id) WHERE course_id > 0 AND enrollments > 0;
--bun:split
-- The sketch of a course's unique viewers.
CREATE TABLE ustat_analytics_viewers (
    course_id INTEGER PRIMARY KEY,
    sketch BLOB NOT NULL
);
--bun:split
-- A course in a quarter of an hour (grain 900) or a day of UTC (grain 86400) from at on,
-- in seconds since 1970.
CREATE TABLE ustat_analytics_spans (
    course_id INTEGER NOT NULL,
    grain INTEGER NOT NULL,
    at INTEGER NOT NULL,
    views INTEGER NOT NULL DEFAULT 0,
    lesson_starts INTEGER NOT NULL DEFAULT 0,
    lesson_completions INTEGER NOT NULL DEFAULT 0,
    bookmarks INTEGER NOT NULL DEFAULT 0,
    reviews INTEGER NOT NULL DEFAULT 0,
    purchases INTEGER NOT NULL DEFAULT 0,
    refunds INTEGER NOT NULL DEFAULT 0,
    enrollments INTEGER NOT NULL DEFAULT 0,
    starts INTEGER NOT NULL DEFAULT 0,
    completions INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (course_id, grain, at)
) WITHOUT ROWID;
--bun:split
-- Money, in minor units, of the same stretches; grain 0 is the total.
CREATE TABLE ustat_analytics_revenue (
    course_id INTEGER NOT NULL,
    grain INTEGER NOT NULL,
    at INTEGER NOT NULL,
    currency TEXT NOT NULL,
    gross INTEGER NOT NULL,
    back INTEGER NOT NULL,
    net INTEGER NOT NULL,
    PRIMARY KEY (course_id, grain, at, currency)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_analytics_revenue_top ON ustat_analytics_revenue (currency, net DESC, course_id) WHERE grain = 0;
--bun:split
CREATE TABLE ustat_analytics_lessons (
    course_id INTEGER NOT NULL,
    lesson_id INTEGER NOT NULL,
    started INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    PRIMARY KEY (course_id, lesson_id)
) WITHOUT ROWID;
--bun:split
-- Learners by the week in which they enrolled, and of them those that were active some
-- weeks later; weeks are counted from the one of 1970-01-01.
CREATE TABLE ustat_analytics_cohorts (
    course_id INTEGER NOT NULL,
    week INTEGER NOT NULL,
    later INTEGER NOT NULL,
    learners INTEGER NOT NULL,
    PRIMARY KEY (course_id, week, later)
) WITHOUT ROWID;
--bun:split
-- What a user has done in a course: when each step was taken first (0: never), the weeks
-- with an event, and the lessons, both as package shardstore packs them.
CREATE TABLE ustat_analytics_learners (
    course_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    viewed_at INTEGER NOT NULL,
    enrolled_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    completed_at INTEGER NOT NULL,
    lessons_completed INTEGER NOT NULL,
    weeks BLOB NOT NULL,
    lessons BLOB NOT NULL,
    PRIMARY KEY (course_id, user_id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_analytics_learners_user ON ustat_analytics_learners (user_id, course_id);
--bun:split
-- Days of UTC since 1970 on which a user has done something.
CREATE TABLE ustat_analytics_days (
    course_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    events INTEGER NOT NULL,
    lesson_completions INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (course_id, user_id, day)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_analytics_days_user ON ustat_analytics_days (user_id, day);
--bun:split
-- Events that came while their bucket was being copied, and are not copied yet.
CREATE TABLE ustat_analytics_late (
    course_id INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    id BLOB NOT NULL,
    bucket INTEGER NOT NULL,
    PRIMARY KEY (course_id, occurred_at, id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_analytics_late_bucket ON ustat_analytics_late (bucket);
