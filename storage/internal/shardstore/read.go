package shardstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

const (
	totalColumns = "course_id, events, views, lesson_starts, lesson_completions, bookmarks, reviews, purchases, refunds, enrollments, starts, completions, unique_viewers, first_at, updated_at"
	selectTotals = "SELECT " + totalColumns + " FROM ustat_analytics_totals WHERE "
)

func scanTotals(rows *sql.Rows, t *analytics.CourseTotals) error {
	var first, updated int64
	err := rows.Scan(slices.Concat([]any{&t.Key, &t.Events}, counterPointers(&t.Counters), []any{&t.UniqueViewers, &first, &updated})...)
	t.FirstAt, t.UpdatedAt = fromMicros(first), fromMicros(updated)
	return err
}

func int64s[T ~int64 | ~int](list []T) []int64 {
	out := make([]int64, len(list))
	for i, v := range list {
		out[i] = int64(v)
	}
	return out
}

func jsonPairs(a, b []int64) string {
	pairs := make([][2]int64, len(a))
	for i := range a {
		pairs[i] = [2]int64{a[i], b[i]}
	}
	return jsonText(pairs)
}

// jsonText returns numbers and texts as JSON.
func jsonText(list any) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // a programmer's error: nothing else is given
	}
	return string(text)
}

// Totals implements analytics.ShardReader.
func (s *Store) Totals(ctx context.Context, keys []analytics.Key) ([]analytics.CourseTotals, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	where, args := s.db.In("course_id", int64s(keys))
	found, err := sqlstore.ReadAll(ctx, s.db.Reading(), selectTotals+where+" ORDER BY course_id", args, scanTotals)
	if err != nil {
		return nil, err
	}
	return found, s.addRevenue(ctx, found)
}

// addRevenue reads the total revenue of courses.
func (s *Store) addRevenue(ctx context.Context, list []analytics.CourseTotals) error {
	if len(list) == 0 {
		return nil
	}
	keys := make([]int64, len(list))
	at := map[analytics.Key]*analytics.CourseTotals{}
	for i := range list {
		keys[i], at[list[i].Key] = int64(list[i].Key), &list[i]
	}
	type earned struct {
		key analytics.Key
		analytics.Revenue
	}
	where, args := s.db.In("course_id", keys)
	found, err := sqlstore.ReadAll(ctx, s.db.Reading(), "SELECT course_id, currency, gross, back FROM ustat_analytics_revenue WHERE grain = 0 AND "+where+" ORDER BY course_id, currency", args,
		func(rows *sql.Rows, e *earned) error { return rows.Scan(&e.key, &e.Currency, &e.Gross, &e.Back) })
	for _, e := range found {
		at[e.key].Revenue = append(at[e.key].Revenue, e.Revenue)
	}
	return err
}

// elsewhere returns the buckets whose rows here are not to be read: they are on their way
// here, or have left.
func (s *Store) elsewhere(ctx context.Context) ([]int64, error) {
	h, err := s.read(ctx, s.db.Reading(), "")
	var list []int64
	for b, state := range h.buckets {
		if state.State == analytics.Arriving || state.State == analytics.Gone {
			list = append(list, int64(b))
		}
	}
	slices.Sort(list)
	return list, err
}

// not returns a condition that keeps the courses of such buckets out.
func (s *Store) not(courseID string, elsewhere []int64) (string, []any) {
	if len(elsewhere) == 0 {
		return "", nil
	}
	in, args := s.db.In("e.bucket", elsewhere)
	return " AND NOT EXISTS (SELECT 1 FROM ustat_analytics_totals AS e WHERE e.course_id = " + courseID + " AND " + in + ")", args
}

// Top implements analytics.ShardReader.
func (s *Store) Top(ctx context.Context, order analytics.TopOrder, after *analytics.TopPosition, limit int) ([]analytics.CourseTotals, error) {
	elsewhere, err := s.elsewhere(ctx)
	if err != nil {
		return nil, err
	}
	from, value, where, args := "ustat_analytics_totals AS t", "t.views", "t.course_id > 0", []any(nil)
	switch order.By {
	case analytics.TopCompletion:
		value, where = "t.completion_rate", "t.course_id > 0 AND t.enrollments > 0"
	case analytics.TopRevenue:
		from, value, where, args = "ustat_analytics_revenue AS r JOIN ustat_analytics_totals AS t ON t.course_id = r.course_id", "r.net", "r.grain = 0 AND r.currency = ?", []any{order.Currency}
	}
	id := "t.course_id"
	if order.By == analytics.TopRevenue {
		id = "r.course_id"
	}
	if after != nil {
		// Written so that both engines begin at the place in the index.
		where += " AND " + value + " <= ? AND (" + value + " < ? OR " + id + " > ?)"
		args = append(args, after.Value, after.Value, int64(after.Key))
	}
	hidden, more := s.not(id, elsewhere)
	query := "SELECT t." + strings.ReplaceAll(totalColumns, ", ", ", t.") + " FROM " + from + " WHERE " + where + hidden + " ORDER BY " + value + " DESC, " + id + " LIMIT ?"
	found, err := sqlstore.ReadAll(ctx, s.db.Reading(), query, append(append(args, more...), limit), scanTotals)
	if err != nil {
		return nil, err
	}
	return found, s.addRevenue(ctx, found)
}

// Series implements analytics.ShardReader. The periods are joined to the stretches, of
// which the database adds up those of each.
func (s *Store) Series(ctx context.Context, key analytics.Key, grain analytics.Grain, periods []analytics.Period) ([]analytics.PeriodCounts, error) {
	if len(periods) == 0 {
		return nil, nil
	}
	from, args := s.periods(periods)
	counts := make([]analytics.PeriodCounts, len(periods))
	sums := "CAST(SUM(s." + strings.ReplaceAll(counterNames, " ", ") AS BIGINT), CAST(SUM(s.") + ") AS BIGINT)"
	type counted struct {
		n int
		analytics.Counters
	}
	found, err := sqlstore.ReadAll(ctx, s.db.Reading(), "SELECT p.n, "+sums+" FROM "+from+" JOIN ustat_analytics_spans AS s ON s.course_id = ? AND s.grain = ? AND s.at >= p.since AND s.at < p.until GROUP BY p.n",
		append(slices.Clone(args), int64(key), int64(grain)),
		func(rows *sql.Rows, c *counted) error {
			return rows.Scan(append([]any{&c.n}, counterPointers(&c.Counters)...)...)
		})
	if err != nil {
		return nil, err
	}
	for _, c := range found {
		counts[c.n].Counters = c.Counters
	}
	type earned struct {
		n int
		analytics.Revenue
	}
	money, err := sqlstore.ReadAll(ctx, s.db.Reading(), "SELECT p.n, s.currency, CAST(SUM(s.gross) AS BIGINT), CAST(SUM(s.back) AS BIGINT) FROM "+from+
		" JOIN ustat_analytics_revenue AS s ON s.course_id = ? AND s.grain = ? AND s.at >= p.since AND s.at < p.until GROUP BY p.n, s.currency ORDER BY p.n, s.currency",
		append(slices.Clone(args), int64(key), int64(grain)),
		func(rows *sql.Rows, e *earned) error { return rows.Scan(&e.n, &e.Currency, &e.Gross, &e.Back) })
	for _, e := range money {
		counts[e.n].Revenue = append(counts[e.n].Revenue, e.Revenue)
	}
	return counts, err
}

// periods returns a table p of periods: n, since, until.
func (s *Store) periods(list []analytics.Period) (string, []any) {
	numbers, since, until := make([]int64, len(list)), make([]int64, len(list)), make([]int64, len(list))
	triples := make([][3]int64, len(list))
	for i, p := range list {
		numbers[i], since[i], until[i] = int64(i), p.From.Unix(), p.To.Unix()
		triples[i] = [3]int64{numbers[i], since[i], until[i]}
	}
	if s.arrays {
		return "unnest(?::bigint[], ?::bigint[], ?::bigint[]) AS p (n, since, until)", []any{numbers, since, until}
	}
	return "(SELECT value->>0 AS n, value->>1 AS since, value->>2 AS until FROM json_each(?)) AS p CROSS", []any{jsonText(triples)}
}

// Lessons implements analytics.ShardReader.
func (s *Store) Lessons(ctx context.Context, key analytics.Key, after analytics.LessonKey, limit int) ([]analytics.LessonCounts, error) {
	return sqlstore.ReadAll(ctx, s.db.Reading(),
		"SELECT lesson_id, started, completed FROM ustat_analytics_lessons WHERE course_id = ? AND lesson_id > ? AND (started <> 0 OR completed <> 0) ORDER BY lesson_id LIMIT ?",
		[]any{int64(key), int64(after.Lesson), limit},
		func(rows *sql.Rows, c *analytics.LessonCounts) error {
			return rows.Scan(&c.Lesson, &c.Started, &c.Completed)
		})
}

// Cohorts implements analytics.ShardReader.
func (s *Store) Cohorts(ctx context.Context, key analytics.Key, from, to analytics.Week) ([]analytics.CohortCount, error) {
	return sqlstore.ReadAll(ctx, s.db.Reading(),
		"SELECT week, later, learners FROM ustat_analytics_cohorts WHERE course_id = ? AND week >= ? AND week <= ? AND learners <> 0 ORDER BY week, later",
		[]any{int64(key), int64(from), int64(to)},
		func(rows *sql.Rows, c *analytics.CohortCount) error { return rows.Scan(&c.Week, &c.Later, &c.N) })
}

// User implements analytics.ShardReader.
func (s *Store) User(ctx context.Context, user core.UserID) (analytics.UserTotals, error) {
	elsewhere, err := s.elsewhere(ctx)
	if err != nil {
		return analytics.UserTotals{}, err
	}
	hidden, more := s.not("l.course_id", elsewhere)
	totals, err := sqlstore.ReadAll(ctx, s.db.Reading(), `SELECT COUNT(CASE WHEN l.enrolled_at <> 0 THEN 1 END), COUNT(CASE WHEN l.completed_at <> 0 THEN 1 END), CAST(COALESCE(SUM(l.lessons_completed), 0) AS BIGINT)
		FROM ustat_analytics_learners AS l WHERE l.user_id = ?`+hidden, append([]any{int64(user)}, more...),
		func(rows *sql.Rows, t *analytics.UserTotals) error {
			return rows.Scan(&t.Enrollments, &t.Completions, &t.LessonsCompleted)
		})
	if err != nil {
		return analytics.UserTotals{}, err
	}
	t := totals[0]
	t.User = user
	type day struct{ day, last int64 }
	active, err := sqlstore.ReadAll(ctx, s.db.Reading(), "SELECT l.day, MAX(l.last_at) FROM ustat_analytics_days AS l WHERE l.user_id = ?"+hidden+" GROUP BY l.day ORDER BY l.day",
		append([]any{int64(user)}, more...), func(rows *sql.Rows, d *day) error { return rows.Scan(&d.day, &d.last) })
	for _, d := range active {
		t.Days = append(t.Days, d.day)
		t.LastActive = fromMicros(d.last)
	}
	t.ActiveDays = int64(len(t.Days))
	return t, err
}

// UserDays implements analytics.ShardReader.
func (s *Store) UserDays(ctx context.Context, user core.UserID, from, to int64) ([]analytics.UserDay, error) {
	elsewhere, err := s.elsewhere(ctx)
	if err != nil {
		return nil, err
	}
	hidden, more := s.not("l.course_id", elsewhere)
	return sqlstore.ReadAll(ctx, s.db.Reading(), `SELECT l.day, CAST(SUM(l.events) AS BIGINT), CAST(SUM(l.lesson_completions) AS BIGINT), MAX(l.last_at)
		FROM ustat_analytics_days AS l WHERE l.user_id = ? AND l.day >= ? AND l.day <= ?`+hidden+" GROUP BY l.day ORDER BY l.day",
		append([]any{int64(user), from, to}, more...),
		func(rows *sql.Rows, d *analytics.UserDay) error {
			var last int64
			err := rows.Scan(&d.Day, &d.Events, &d.LessonCompletions, &last)
			d.User, d.LastAt = user, fromMicros(last)
			return err
		})
}

var selectEvents = "SELECT " + events.list() + " FROM ustat_analytics_events WHERE "

func scanEvent(rows *sql.Rows, e *analytics.Event) error {
	var key analytics.Key
	var code int
	var occurred, received scannedTime
	var properties sql.NullString
	if err := rows.Scan(&key, &occurred, &e.ID, &code, &e.Lesson, &e.User, &e.Session, &e.Amount.Minor, &e.Amount.Currency, &properties, &received); err != nil {
		return err
	}
	if code < 1 || code > len(analytics.Types) {
		return core.ErrInternal.Withf("an event has type %d, which this version does not know", code)
	}
	e.Course, e.Type, e.OccurredAt, e.ReceivedAt = courses.CourseID(key.Course()), analytics.Types[code-1], occurred.Time, received.Time
	if properties.Valid {
		e.Properties = json.RawMessage(properties.String)
	}
	return nil
}

// Events implements analytics.ShardReader.
func (s *Store) Events(ctx context.Context, key analytics.Key, before *analytics.EventPosition, limit int) ([]analytics.Event, error) {
	where, args := "course_id = ?", []any{int64(key)}
	if before != nil {
		where += " AND (occurred_at, id) < (?, ?)"
		args = append(args, s.moment(before.At), s.idArgument(before.ID))
	}
	return sqlstore.ReadAll(ctx, s.db.Reading(), selectEvents+where+" ORDER BY occurred_at DESC, id DESC LIMIT ?", append(args, limit), scanEvent)
}

// idArgument returns an id as one parameter.
func (s *Store) idArgument(id uuid.UUID) any {
	if s.arrays {
		return id.String()
	}
	return id[:]
}

// Keys implements analytics.ShardWriter.
func (s *Store) Keys(ctx context.Context, after analytics.Key, limit int) ([]analytics.Key, error) {
	return sqlstore.ReadAll(ctx, s.db.Reading(), "SELECT course_id FROM ustat_analytics_totals WHERE course_id > ? ORDER BY course_id LIMIT ?",
		[]any{int64(after), limit}, func(rows *sql.Rows, k *analytics.Key) error { return rows.Scan(k) })
}
