-- What the numbers of courses must be, beside what they were listed with at the same
-- instant: written by courses.Tx.RefreshRollups, as PostgreSQL's materialized view.
CREATE TABLE ustat_course_stats_mv (
    course_id INTEGER PRIMARY KEY,
    students INTEGER NOT NULL,
    completions INTEGER NOT NULL,
    review_count INTEGER NOT NULL,
    rating_sum INTEGER NOT NULL,
    average_rating REAL,
    listed_students INTEGER NOT NULL,
    listed_completions INTEGER NOT NULL,
    listed_review_count INTEGER NOT NULL,
    listed_rating_sum INTEGER NOT NULL
);
