-- One row: what the writers of a shard look at first. Each that changes it makes version
-- one more, so that the others read buckets (JSON: bucket -> [epoch, state]) when it has
-- changed.
CREATE TABLE ustat_analytics_shard (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    version BIGINT NOT NULL,
    pruned_before BIGINT NOT NULL,
    buckets TEXT NOT NULL
);
--bun:split
INSERT INTO ustat_analytics_shard (one, version, pruned_before, buckets) VALUES (1, 1, 0, '{}');
--bun:split
-- Raw events, by months of UTC, which are made when an event needs one.
CREATE TABLE ustat_analytics_events (
    course_id BIGINT NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    id UUID NOT NULL,
    type SMALLINT NOT NULL,
    lesson_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    session TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    properties JSON,
    received_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (course_id, occurred_at, id)
) PARTITION BY RANGE (occurred_at);
--bun:split
CREATE INDEX ustat_analytics_events_time ON ustat_analytics_events USING brin (occurred_at);
--bun:split
-- All of a course. A negative course_id is a bucket of what belongs to no course. Times in
-- this and the following tables are microseconds since 1970.
CREATE TABLE ustat_analytics_totals (
    course_id BIGINT PRIMARY KEY,
    bucket BIGINT NOT NULL,
    events BIGINT NOT NULL DEFAULT 0,
    views BIGINT NOT NULL DEFAULT 0,
    lesson_starts BIGINT NOT NULL DEFAULT 0,
    lesson_completions BIGINT NOT NULL DEFAULT 0,
    bookmarks BIGINT NOT NULL DEFAULT 0,
    reviews BIGINT NOT NULL DEFAULT 0,
    purchases BIGINT NOT NULL DEFAULT 0,
    refunds BIGINT NOT NULL DEFAULT 0,
    enrollments BIGINT NOT NULL DEFAULT 0,
    starts BIGINT NOT NULL DEFAULT 0,
    completions BIGINT NOT NULL DEFAULT 0,
    unique_viewers BIGINT NOT NULL DEFAULT 0,
    completion_rate BIGINT NOT NULL DEFAULT 0,
    first_at BIGINT NOT NULL DEFAULT 0,
    updated_at BIGINT NOT NULL DEFAULT 0
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
    course_id BIGINT PRIMARY KEY,
    sketch BYTEA NOT NULL
);
--bun:split
-- A course in a quarter of an hour (grain 900) or a day of UTC (grain 86400) from at on,
-- in seconds since 1970.
CREATE TABLE ustat_analytics_spans (
    course_id BIGINT NOT NULL,
    grain BIGINT NOT NULL,
    at BIGINT NOT NULL,
    views BIGINT NOT NULL DEFAULT 0,
    lesson_starts BIGINT NOT NULL DEFAULT 0,
    lesson_completions BIGINT NOT NULL DEFAULT 0,
    bookmarks BIGINT NOT NULL DEFAULT 0,
    reviews BIGINT NOT NULL DEFAULT 0,
    purchases BIGINT NOT NULL DEFAULT 0,
    refunds BIGINT NOT NULL DEFAULT 0,
    enrollments BIGINT NOT NULL DEFAULT 0,
    starts BIGINT NOT NULL DEFAULT 0,
    completions BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (course_id, grain, at)
);
--bun:split
-- Money, in minor units, of the same stretches; grain 0 is the total.
CREATE TABLE ustat_analytics_revenue (
    course_id BIGINT NOT NULL,
    grain BIGINT NOT NULL,
    at BIGINT NOT NULL,
    currency TEXT NOT NULL,
    gross BIGINT NOT NULL,
    back BIGINT NOT NULL,
    net BIGINT NOT NULL,
    PRIMARY KEY (course_id, grain, at, currency)
);
--bun:split
CREATE INDEX ustat_analytics_revenue_top ON ustat_analytics_revenue (currency, net DESC, course_id) WHERE grain = 0;
--bun:split
CREATE TABLE ustat_analytics_lessons (
    course_id BIGINT NOT NULL,
    lesson_id BIGINT NOT NULL,
    started BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    PRIMARY KEY (course_id, lesson_id)
);
--bun:split
-- Learners by the week in which they enrolled, and of them those that were active some
-- weeks later; weeks are counted from the one of 1970-01-01.
CREATE TABLE ustat_analytics_cohorts (
    course_id BIGINT NOT NULL,
    week BIGINT NOT NULL,
    later BIGINT NOT NULL,
    learners BIGINT NOT NULL,
    PRIMARY KEY (course_id, week, later)
);
--bun:split
-- What a user has done in a course: when each step was taken first (0: never), the weeks
-- with an event, and the lessons, both as package shardstore packs them.
CREATE TABLE ustat_analytics_learners (
    course_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    viewed_at BIGINT NOT NULL,
    enrolled_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    completed_at BIGINT NOT NULL,
    lessons_completed BIGINT NOT NULL,
    weeks BYTEA NOT NULL,
    lessons BYTEA NOT NULL,
    PRIMARY KEY (course_id, user_id)
);
--bun:split
CREATE INDEX ustat_analytics_learners_user ON ustat_analytics_learners (user_id, course_id);
--bun:split
-- Days of UTC since 1970 on which a user has done something.
CREATE TABLE ustat_analytics_days (
    course_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    day BIGINT NOT NULL,
    events BIGINT NOT NULL,
    lesson_completions BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (course_id, user_id, day)
);
--bun:split
CREATE INDEX ustat_analytics_days_user ON ustat_analytics_days (user_id, day);
--bun:split
-- Events that came while their bucket was being copied, and are not copied yet.
CREATE TABLE ustat_analytics_late (
    course_id BIGINT NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    id UUID NOT NULL,
    bucket BIGINT NOT NULL,
    PRIMARY KEY (course_id, occurred_at, id)
);
--bun:split
CREATE INDEX ustat_analytics_late_bucket ON ustat_analytics_late (bucket);
