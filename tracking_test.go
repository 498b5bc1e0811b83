package ustat_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/fake"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/transfer"
	"github.com/ustat/ustat/ustattest"
)

// tracked waits until no event waits and no job of analytics is open.
func tracked(t *testing.T, b *storage.Backend, db *sql.DB) {
	t.Helper()
	jobs := func() (open int) {
		require.NoError(t, db.QueryRow("SELECT count(*) FROM river_job WHERE state NOT IN ('completed', 'discarded', 'cancelled') AND args->>'kind' LIKE '%analytics%'").Scan(&open))
		return open
	}
	require.Eventually(t, func() bool {
		if jobs() > 0 { // they may leave events
			return false
		}
		for _, box := range []core.Outbox{b.Accounts, b.Courses, b.Reviews} {
			pending, err := box.Pending(context.Background(), 1)
			require.NoError(t, err)
			if len(pending) > 0 {
				return false
			}
		}
		return jobs() == 0 // of those events
	}, 60*time.Second, 20*time.Millisecond)
	rows, err := db.Query("SELECT args->>'kind', errors FROM river_job WHERE state = 'discarded' AND args->>'kind' LIKE '%analytics%'")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var kind, failures any
		require.NoError(t, rows.Scan(&kind, &failures))
		t.Errorf("a job was given up: %s: %s", kind, failures)
	}
	require.NoError(t, rows.Err())
}

func TestWhatHappensInACourseIsTrackedOnce(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, at place) {
		ctx := t.Context()
		bank, err := fake.New(fake.Config{PayURL: "https://pay.example.org"})
		require.NoError(t, err)
		var log recorder
		p := at.running(t, ustat.Config{Payments: []courses.Payments{bank}}, func(p *ustat.Platform) {
			require.NoError(t, p.Subscribe(tasks.Subscription{Name: "log", Types: []string{analytics.EventUpdated}, Handle: log.handle}))
		})
		b, db := at.backend(t), at.handle(t)
		t.Cleanup(func() { require.NoError(t, b.Close()) })

		slug, sam := priced(t, &ustattest.Platform{Platform: p})
		order, err := p.Courses.CreateOrder(ctx, sam, courses.NewOrder{Course: slug})
		require.NoError(t, err)
		event, err := bank.Settle(order.ID, true)
		require.NoError(t, err)
		header, body, err := bank.Seal(event)
		require.NoError(t, err)
		require.NoError(t, p.Courses.PaymentCallback(ctx, "fake", header, body))
		mine, err := p.Courses.Enrollments(ctx, sam, courses.EnrollmentFilter{}, core.Page{})
		require.NoError(t, err)
		lessons, err := p.Courses.Lessons(ctx, sam, slug, 0, core.Page{})
		require.NoError(t, err)
		_, err = p.Courses.CompleteLesson(ctx, sam, mine.Items[0].ID, lessons.Items[0].ID)
		require.NoError(t, err)
		require.NoError(t, p.Courses.Bookmark(ctx, sam, slug))
		_, err = p.Reviews.Create(ctx, sam, slug, reviews.New{Rating: 5})
		require.NoError(t, err)
		_, err = p.Courses.RefundOrder(ctx, accounts.System, order.ID)
		require.NoError(t, err)

		want := analytics.Counters{LessonCompletions: 1, Bookmarks: 1, Reviews: 1, Purchases: 1, Refunds: 1, Enrollments: 1, Starts: 1, Completions: 1}
		holds := func(why string) {
			t.Helper()
			tracked(t, b, db)
			got, err := p.Analytics.Course(ctx, accounts.System, slug)
			require.NoError(t, err)
			require.Equal(t, want, got.Counters, why)
			require.EqualValues(t, 7, got.Events, why)
			require.Equal(t, []analytics.Revenue{{Currency: "EUR", Gross: 100, Back: 100}}, got.Revenue, why)
		}
		holds("as it happened")
		told := len(log.types())
		require.Positive(t, told)
		require.LessOrEqual(t, told, 3, "once in a window for all that happened")
		var updated analytics.Updated
		require.NoError(t, json.Unmarshal(log.got[0].Payload, &updated))
		require.Equal(t, slug, updated.Slug)

		// Every event is delivered again, as if no job had been.
		for _, again := range []string{"DELETE FROM river_job", "UPDATE ustat_outbox SET done_at = NULL"} {
			_, err = db.ExecContext(ctx, again)
			require.NoError(t, err)
		}
		holds("delivered twice")

		// What an import may have brought is tracked as the events that it had none of.
		for _, file := range []string{"enrollments.csv", "reviews.csv"} {
			require.NoError(t, b.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
				return tx.Emit(ctx, core.NewEvent(transfer.EventImported, "file/"+file, accounts.System, time.Now(), transfer.Imported{File: file, Inserted: 1}))
			}))
		}
		holds("imported")
		var rebuilt int
		require.NoError(t, db.QueryRow("SELECT count(*) FROM river_job WHERE state = 'completed' AND args->>'kind' = '"+ustat.RebuildTask+"'").Scan(&rebuilt))
		require.Equal(t, 2, rebuilt, "jobs have looked at it")
	})
}

func TestWhatIsImportedIsTrackedByPages(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, at place) {
		const learners = 350 // in six courses: more than one job takes
		b, db := at.backend(t), at.handle(t)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		c := newClassroom(t, b, learners)
		p := at.running(t, ustat.Config{}, nil)
		start := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
		var all []courses.Enrollment
		for n := range c.courses {
			for i := range learners {
				e := c.enrollment(fmt.Sprintf("learner-%d", i), n, courses.Active)
				e.EnrolledAt = start.Add(time.Duration(i) * time.Hour)
				if n == 0 {
					e.Source, e.PricePaid.Minor = courses.SourceImport, 500
				}
				all = append(all, e)
			}
		}
		all[learners].Status = courses.Waiting
		all[learners+1].EnrolledAt = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) // before all analytics
		c.update(func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.InsertEnrollments(ctx, all)
			return err
		})
		for range 2 {
			c.update(func(ctx context.Context, tx courses.Tx) error {
				return tx.Emit(ctx, core.NewEvent(transfer.EventImported, "file/enrollments.csv", accounts.System, time.Now(), transfer.Imported{File: "enrollments.csv", Inserted: len(all)}))
			})
			tracked(t, b, db)
			keys := make([]analytics.Key, len(c.courses))
			for i := range c.courses {
				keys[i] = analytics.Key(c.courses[i].ID)
			}
			totals, missing, err := p.Analytics.Router().Totals(t.Context(), keys)
			require.NoError(t, err)
			require.Empty(t, missing)
			for n, got := range totals {
				enrolled, events := int64(learners), int64(learners)
				switch n {
				case 0:
					events *= 2 // purchases
					require.Equal(t, []analytics.Revenue{{Currency: "EUR", Gross: 500 * learners}}, got.Revenue)
				case 1:
					enrolled, events = learners-2, learners-2
				}
				require.Equal(t, enrolled, got.Enrollments, "course %d", n)
				require.Equal(t, events, got.Events, "course %d", n)
				require.True(t, got.FirstAt.Equal(start) || n == 1, "course %d: %s", n, got.FirstAt)
			}
		}
		var jobs int
		require.NoError(t, db.QueryRow("SELECT count(*) FROM river_job WHERE state = 'completed' AND args->>'kind' = '"+ustat.RebuildTask+"'").Scan(&jobs))
		require.Equal(t, 4, jobs, "two for each file")
	})
}
