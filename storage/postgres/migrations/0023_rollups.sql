-- What the numbers of courses must be, beside what they are listed with at the same
-- instant. Each side is counted by itself before it is joined, so that neither multiplies
-- the other. A course of which no reviews are kept here is taken to have those that it is
-- listed with.
CREATE MATERIALIZED VIEW ustat_course_stats_mv AS
SELECT course_id, students, completions, review_count, rating_sum, CAST(rating_sum AS DOUBLE PRECISION) / nullif(review_count, 0) AS average_rating,
    listed_students, listed_completions, listed_review_count, listed_rating_sum
FROM (
    SELECT s.course_id, coalesce(e.students, 0) AS students, coalesce(e.completions, 0) AS completions,
        CASE WHEN r.course_id IS NULL AND n.course_id IS NULL THEN s.review_count ELSE coalesce(r.review_count, 0) END AS review_count,
        CASE WHEN r.course_id IS NULL AND n.course_id IS NULL THEN s.rating_sum ELSE coalesce(r.rating_sum, 0) END AS rating_sum,
        s.students AS listed_students, s.completions AS listed_completions, s.review_count AS listed_review_count, s.rating_sum AS listed_rating_sum
    FROM ustat_course_stats AS s
    LEFT JOIN (
        SELECT course_id, count(CASE WHEN status IN ('active', 'completed') THEN 1 END) AS students, count(CASE WHEN status = 'completed' THEN 1 END) AS completions
        FROM ustat_enrollments GROUP BY course_id
    ) AS e ON e.course_id = s.course_id
    LEFT JOIN (
        SELECT course_id, count(CASE WHEN status = 'published' THEN 1 END) AS review_count,
            CAST(coalesce(sum(CASE WHEN status = 'published' THEN rating END), 0) AS BIGINT) AS rating_sum
        FROM ustat_reviews GROUP BY course_id
    ) AS r ON r.course_id = s.course_id
    LEFT JOIN ustat_review_stats AS n ON n.course_id = s.course_id
) AS counted;
--bun:split
CREATE UNIQUE INDEX ustat_course_stats_mv_course ON ustat_course_stats_mv (course_id);
