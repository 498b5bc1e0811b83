package shardstore

import (
	"encoding/binary"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

const counterNames = "views lesson_starts lesson_completions bookmarks reviews purchases refunds enrollments starts completions"

func counterValues(c *analytics.Counters) []any {
	return []any{c.Views, c.LessonStarts, c.LessonCompletions, c.Bookmarks, c.Reviews, c.Purchases, c.Refunds, c.Enrollments, c.Starts, c.Completions}
}

func counterPointers(c *analytics.Counters) []any {
	return []any{&c.Views, &c.LessonStarts, &c.LessonCompletions, &c.Bookmarks, &c.Reviews, &c.Purchases, &c.Refunds, &c.Enrollments, &c.Starts, &c.Completions}
}

func concat(lists ...[]column) (all []column) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// The tables of a shard.
var (
	events = &table{"ustat_analytics_events", 3, []column{
		{"course_id", integer},
		{"occurred_at", moment},
		{"id", uuids},
		{"type", integer},
		{"lesson_id", integer},
		{"user_id", integer},
		{"session", text},
		{"amount_minor", integer},
		{"currency", text},
		{"properties", optionalText},
		{"received_at", moment},
	}}
	totals   = &table{"ustat_analytics_totals", 1, columns(integer, "course_id bucket events "+counterNames+" unique_viewers completion_rate first_at updated_at")}
	viewers  = &table{"ustat_analytics_viewers", 1, []column{{"course_id", integer}, {"sketch", bytes}}}
	spans    = &table{"ustat_analytics_spans", 3, columns(integer, "course_id grain at "+counterNames)}
	revenue  = &table{"ustat_analytics_revenue", 4, concat(columns(integer, "course_id grain at"), columns(text, "currency"), columns(integer, "gross back net"))}
	lessons  = &table{"ustat_analytics_lessons", 2, columns(integer, "course_id lesson_id started completed")}
	cohorts  = &table{"ustat_analytics_cohorts", 3, columns(integer, "course_id week later learners")}
	learners = &table{"ustat_analytics_learners", 2, concat(columns(integer, "course_id user_id viewed_at enrolled_at started_at completed_at lessons_completed"), columns(bytes, "weeks lessons"))}
	days     = &table{"ustat_analytics_days", 3, columns(integer, "course_id user_id day events lesson_completions last_at")}
	late     = &table{"ustat_analytics_late", 3, []column{{"course_id", integer}, {"occurred_at", moment}, {"id", uuids}, {"bucket", integer}}}
)

// rollups are the tables that are counted, by their names in differences and in moves.
var rollups = []struct {
	name  string
	table *table
}{
	{"totals", totals}, {"viewers", viewers}, {"spans", spans}, {"revenue", revenue}, {"lessons", lessons}, {"cohorts", cohorts}, {"learners", learners}, {"user_days", days},
}

func totalsRow(t *analytics.CourseTotals) []any {
	row := append([]any{int64(t.Key), int64(t.Key.Bucket()), t.Events}, counterValues(&t.Counters)...)
	return append(row, t.UniqueViewers, t.Rate(), micros(t.FirstAt), micros(t.UpdatedAt))
}

func spanRow(k analytics.SpanKey, c *analytics.Counters) []any {
	return append([]any{int64(k.Key), int64(k.Grain), k.At}, counterValues(c)...)
}

func revenueRow(k analytics.RevenueKey, r *analytics.Revenue) []any {
	return []any{int64(k.Key), int64(k.Grain), k.At, k.Currency, r.Gross, r.Back, r.Gross - r.Back}
}

func lessonRow(k analytics.LessonKey, c *analytics.LessonCounts) []any {
	return []any{int64(k.Key), int64(k.Lesson), c.Started, c.Completed}
}

func cohortRow(k analytics.CohortKey, n int64) []any {
	return []any{int64(k.Key), int64(k.Week), int64(k.Later), n}
}

func dayRow(d *analytics.UserDay) []any {
	return []any{int64(d.Key), int64(d.User), d.Day, d.Events, d.LessonCompletions, micros(d.LastAt)}
}

func learnerRow(l *analytics.Learner) []any {
	completed := int64(0)
	for _, lesson := range l.Lessons {
		if lesson.Completed {
			completed++
		}
	}
	return []any{
		int64(l.Key), int64(l.User), micros(l.Viewed), micros(l.Enrolled), micros(l.Started), micros(l.Completed), completed,
		packWeeks(l.Weeks), packLessons(l.Lessons),
	}
}

// packWeeks writes ascending weeks by the distance of each to the one before.
func packWeeks(weeks []analytics.Week) []byte {
	out, before := []byte{}, analytics.Week(0)
	for _, w := range weeks {
		out = binary.AppendUvarint(out, uint64(w-before))
		before = w
	}
	return out
}

func unpackWeeks(packed []byte) (weeks []analytics.Week, err error) {
	before := analytics.Week(0)
	for len(packed) > 0 {
		distance, n := binary.Uvarint(packed)
		if n <= 0 {
			return nil, errPacked
		}
		before += analytics.Week(distance)
		weeks, packed = append(weeks, before), packed[n:]
	}
	return weeks, nil
}

// packLessons writes ascending lessons by the distance of each to the one before, doubled,
// and one more where it is completed.
func packLessons(list []analytics.LearnerLesson) []byte {
	out, before := []byte{}, courses.LessonID(0)
	for _, l := range list {
		out = binary.AppendUvarint(out, uint64(l.Lesson-before)<<1|b2u(l.Completed))
		before = l.Lesson
	}
	return out
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func unpackLessons(packed []byte) (list []analytics.LearnerLesson, err error) {
	before := courses.LessonID(0)
	for len(packed) > 0 {
		v, n := binary.Uvarint(packed)
		if n <= 0 {
			return nil, errPacked
		}
		before += courses.LessonID(v >> 1)
		list, packed = append(list, analytics.LearnerLesson{Lesson: before, Completed: v&1 == 1}), packed[n:]
	}
	return list, nil
}

var errPacked = core.ErrInternal.Withf("the row of a learner cannot be read")
