ALTER TABLE ustat_course_stats ADD COLUMN trend INTEGER NOT NULL DEFAULT 0;
--bun:split
CREATE INDEX ustat_stats_trend ON ustat_course_stats (status, trend, course_id);
--bun:split
CREATE INDEX ustat_stats_reviews ON ustat_course_stats (status, review_count, rating_sum, course_id);
