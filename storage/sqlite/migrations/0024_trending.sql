-- Courses by trend with how many reviews they have, by which those with too few are passed
-- over without a look at their rows.
DROP INDEX ustat_stats_trend;
--bun:split
CREATE INDEX ustat_stats_trend ON ustat_course_stats (status, trend, course_id, review_count);
