package bench

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ustat/ustat/analytics"
)

// writer is a hand-written writer of events: a transaction that writes the same raw rows
// and rollups as a shard, by SQL of its own over the driver alone. It counts by
// analytics.Fold, as there is one truth to count; it has no queue, looks at no bucket,
// takes no lock, holds every event to be new and keeps no sketch's bytes that it need not.
type writer interface {
	write(ctx context.Context, events []analytics.Event) error
}

const counterColumns = "views, lesson_starts, lesson_completions, bookmarks, reviews, purchases, refunds, enrollments, starts, completions"

func counterArgs(c *analytics.Counters) []any {
	return []any{c.Views, c.LessonStarts, c.LessonCompletions, c.Bookmarks, c.Reviews, c.Purchases, c.Refunds, c.Enrollments, c.Starts, c.Completions}
}

func addCounters(table string) string {
	var set []string
	for c := range strings.SplitSeq(counterColumns, ", ") {
		set = append(set, c+" = "+table+"."+c+" + excluded."+c)
	}
	return strings.Join(set, ", ")
}

// The statements that a writer runs for each row of a batch.
var (
	insertEvent = "INSERT INTO ustat_analytics_events (course_id, occurred_at, id, type, lesson_id, user_id, session, amount_minor, currency, properties, received_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
	addTotals   = "INSERT INTO ustat_analytics_totals (course_id, bucket, events, " + counterColumns + ", completion_rate, first_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14, $15)" +
		" ON CONFLICT (course_id) DO UPDATE SET events = ustat_analytics_totals.events + excluded.events, updated_at = excluded.updated_at, " + addCounters("ustat_analytics_totals")
	addSpan    = "INSERT INTO ustat_analytics_spans (course_id, grain, at, " + counterColumns + ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (course_id, grain, at) DO UPDATE SET " + addCounters("ustat_analytics_spans")
	addRevenue = "INSERT INTO ustat_analytics_revenue (course_id, grain, at, currency, gross, back, net) VALUES ($1, $2, $3, $4, $5, $6, $7)" +
		" ON CONFLICT (course_id, grain, at, currency) DO UPDATE SET gross = ustat_analytics_revenue.gross + excluded.gross, back = ustat_analytics_revenue.back + excluded.back, net = ustat_analytics_revenue.net + excluded.net"
	addLesson = "INSERT INTO ustat_analytics_lessons (course_id, lesson_id, started, completed) VALUES ($1, $2, $3, $4)" +
		" ON CONFLICT (course_id, lesson_id) DO UPDATE SET started = ustat_analytics_lessons.started + excluded.started, completed = ustat_analytics_lessons.completed + excluded.completed"
	addCohort = "INSERT INTO ustat_analytics_cohorts (course_id, week, later, learners) VALUES ($1, $2, $3, $4) ON CONFLICT (course_id, week, later) DO UPDATE SET learners = ustat_analytics_cohorts.learners + excluded.learners"
	setLearn  = "INSERT INTO ustat_analytics_learners (course_id, user_id, viewed_at, enrolled_at, started_at, completed_at, lessons_completed, weeks, lessons) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)" +
		" ON CONFLICT (course_id, user_id) DO UPDATE SET viewed_at = excluded.viewed_at, enrolled_at = excluded.enrolled_at, started_at = excluded.started_at, completed_at = excluded.completed_at, lessons_completed = excluded.lessons_completed, weeks = excluded.weeks, lessons = excluded.lessons"
	addDay = "INSERT INTO ustat_analytics_days (course_id, user_id, day, events, lesson_completions, last_at) VALUES ($1, $2, $3, $4, $5, $6)" +
		" ON CONFLICT (course_id, user_id, day) DO UPDATE SET events = ustat_analytics_days.events + excluded.events, lesson_completions = ustat_analytics_days.lesson_completions + excluded.lesson_completions, last_at = excluded.last_at"
	setSketch  = "INSERT INTO ustat_analytics_viewers (course_id, sketch) VALUES ($1, $2) ON CONFLICT (course_id) DO UPDATE SET sketch = excluded.sketch"
	readSketch = "SELECT sketch FROM ustat_analytics_viewers WHERE course_id = $1"
	readLearn  = "SELECT viewed_at, enrolled_at, started_at, completed_at, weeks, lessons FROM ustat_analytics_learners WHERE course_id = $1 AND user_id = $2"
)

// rowArgs calls fn for each row of the rollups with its statement.
func rowArgs(r *analytics.Rollups, fn func(statement string, args ...any) error) error {
	var err error
	do := func(statement string, args ...any) {
		if err == nil {
			err = fn(statement, args...)
		}
	}
	for key, t := range r.Totals {
		do(addTotals, append(append([]any{int64(key), int64(key.Bucket()), t.Events}, counterArgs(&t.Counters)...), t.FirstAt.UnixMicro(), t.UpdatedAt.UnixMicro())...)
	}
	for k, c := range r.Spans {
		do(addSpan, append([]any{int64(k.Key), int64(k.Grain), k.At}, counterArgs(c)...)...)
	}
	for k, m := range r.Revenue {
		do(addRevenue, int64(k.Key), int64(k.Grain), k.At, k.Currency, m.Gross, m.Back, m.Gross-m.Back)
	}
	for k, c := range r.Lessons {
		do(addLesson, int64(k.Key), int64(k.Lesson), c.Started, c.Completed)
	}
	for k, n := range r.Cohorts {
		do(addCohort, int64(k.Key), int64(k.Week), int64(k.Later), n)
	}
	for k, l := range r.Learners {
		var weeks, lessons []byte
		for _, w := range l.Weeks {
			weeks = binary.AppendUvarint(weeks, uint64(w))
		}
		for _, lesson := range l.Lessons {
			lessons = binary.AppendUvarint(lessons, uint64(lesson.Lesson))
		}
		do(setLearn, int64(k.Key), int64(k.User), l.Viewed.UnixMicro(), l.Enrolled.UnixMicro(), l.Started.UnixMicro(), l.Completed.UnixMicro(), int64(len(l.Lessons)), append([]byte{}, weeks...), append([]byte{}, lessons...))
	}
	for k, d := range r.UserDays {
		do(addDay, int64(k.Key), int64(k.User), k.Day, d.Events, d.LessonCompletions, d.LastAt.UnixMicro())
	}
	return err
}

// merged returns a sketch with viewers added.
func merged(before []byte, hashes []uint64) ([]byte, error) {
	var v analytics.Viewers
	if err := v.UnmarshalBinary(before); err != nil {
		return nil, err
	}
	if err := v.Add(hashes...); err != nil {
		return nil, err
	}
	return v.MarshalBinary()
}

// sqliteWriter runs prepared statements on one connection.
type sqliteWriter struct {
	db    *sql.DB
	stmts map[string]*sql.Stmt
}

func newSQLiteWriter(ctx context.Context, db *sql.DB) (*sqliteWriter, error) {
	w := &sqliteWriter{db, map[string]*sql.Stmt{}}
	for _, text := range []string{insertEvent, addTotals, addSpan, addRevenue, addLesson, addCohort, setLearn, addDay, setSketch, readSketch, readLearn} {
		stmt, err := db.PrepareContext(ctx, text)
		if err != nil {
			return nil, err
		}
		w.stmts[text] = stmt
	}
	return w, nil
}

func (w *sqliteWriter) write(ctx context.Context, events []analytics.Event) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	in := map[string]*sql.Stmt{}
	exec := func(text string, args ...any) error {
		if in[text] == nil {
			in[text] = tx.StmtContext(ctx, w.stmts[text])
		}
		_, err := in[text].ExecContext(ctx, args...)
		return err
	}
	for i := range events {
		e := &events[i]
		if err := exec(insertEvent, int64(analytics.KeyOf(*e)), e.OccurredAt.UnixMicro(), e.ID[:], e.Type.Code(), int64(e.Lesson), int64(e.User), e.Session, e.Amount.Minor, e.Amount.Currency, nil, e.ReceivedAt.UnixMicro()); err != nil {
			return err
		}
	}
	for _, k := range analytics.LearnerKeys(events) {
		var viewed, enrolled, started, completed int64
		var weeks, lessons []byte
		err := tx.StmtContext(ctx, w.stmts[readLearn]).QueryRowContext(ctx, int64(k.Key), int64(k.User)).Scan(&viewed, &enrolled, &started, &completed, &weeks, &lessons)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	r := analytics.Fold(events, nil)
	for key, hashes := range r.Viewers {
		var before []byte
		if err := tx.StmtContext(ctx, w.stmts[readSketch]).QueryRowContext(ctx, int64(key)).Scan(&before); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		after, err := merged(before, hashes)
		if err != nil {
			return err
		}
		if err := exec(setSketch, int64(key), after); err != nil {
			return err
		}
	}
	if err := rowArgs(r, exec); err != nil {
		return err
	}
	return tx.Commit()
}

// pgWriter copies raw rows and sends the rollups as one batch.
type pgWriter struct{ pool *pgxpool.Pool }

func (w *pgWriter) write(ctx context.Context, events []analytics.Event) error {
	return pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"ustat_analytics_events"},
			[]string{"course_id", "occurred_at", "id", "type", "lesson_id", "user_id", "session", "amount_minor", "currency", "received_at"},
			pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
				e := &events[i]
				return []any{int64(analytics.KeyOf(*e)), e.OccurredAt, [16]byte(e.ID), int16(e.Type.Code()), int64(e.Lesson), int64(e.User), e.Session, e.Amount.Minor, e.Amount.Currency, e.ReceivedAt}, nil
			}))
		if err != nil {
			return err
		}
		r := analytics.Fold(events, nil)
		var reads pgx.Batch
		for _, k := range analytics.LearnerKeys(events) {
			reads.Queue(readLearn, int64(k.Key), int64(k.User))
		}
		before := map[analytics.Key][]byte{}
		for key := range r.Viewers {
			reads.Queue(readSketch, int64(key)).QueryRow(func(row pgx.Row) error {
				var body []byte
				if err := row.Scan(&body); err != nil && !errors.Is(err, pgx.ErrNoRows) {
					return err
				}
				before[key] = body
				return nil
			})
		}
		if reads.Len() > 0 {
			if err := tx.SendBatch(ctx, &reads).Close(); err != nil {
				return err
			}
		}
		var writes pgx.Batch
		for key, hashes := range r.Viewers {
			after, err := merged(before[key], hashes)
			if err != nil {
				return err
			}
			writes.Queue(setSketch, int64(key), after)
		}
		if err := rowArgs(r, func(statement string, args ...any) error {
			writes.Queue(statement, args...)
			return nil
		}); err != nil {
			return err
		}
		return tx.SendBatch(ctx, &writes).Close()
	})
}
