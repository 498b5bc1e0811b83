package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/tasks/riverqueue"
)

// onPlaces runs a benchmark on an empty database of each engine.
func onPlaces(b *testing.B, run func(b *testing.B, backend *storage.Backend, queue tasks.Queue)) {
	b.Run("sqlite", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "bench.db")
		backend, err := sqlite.Open(b.Context(), path, nil)
		require.NoError(b, err)
		queue, err := riverqueue.SQLite(b.Context(), path, nil)
		require.NoError(b, err)
		run(b, backend, queue)
	})
	b.Run("postgres", func(b *testing.B) {
		dsn := pgtest.DSN(b)
		backend, err := postgres.Open(b.Context(), dsn, nil)
		require.NoError(b, err)
		queue, err := riverqueue.Postgres(b.Context(), dsn, nil)
		require.NoError(b, err)
		run(b, backend, queue)
	})
}

// BenchmarkEvents prints how many events a second leave the outbox, and how many are
// worked by one subscriber, of b.N that wait when the platform starts.
func BenchmarkEvents(b *testing.B) {
	onPlaces(b, func(b *testing.B, backend *storage.Backend, queue tasks.Queue) {
		_, err := backend.Schema.Migrate(b.Context())
		require.NoError(b, err)
		for left := b.N; left > 0; left -= 500 {
			require.NoError(b, backend.Courses.Update(b.Context(), func(ctx context.Context, tx courses.Tx) error {
				for range min(left, 500) {
					if err := tx.Emit(ctx, core.NewEvent(courses.EventCreated, "course/1", core.Actor{}, time.Now(), courses.Changed{Slug: "databases"})); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		p, err := ustat.New(backend, &ustat.Config{Queue: queue, TaskConcurrency: 50})
		require.NoError(b, err)
		var worked atomic.Int64
		require.NoError(b, p.Subscribe(tasks.Subscription{Name: "s", Handle: func(context.Context, core.Event) error {
			worked.Add(1)
			return nil
		}}))
		require.NoError(b, p.Start(b.Context()))
		b.ResetTimer()
		start, relayed := time.Now(), time.Duration(0)
		for worked.Load() < int64(b.N) {
			if relayed == 0 && p.TaskStats().Relayed >= int64(b.N) {
				relayed = time.Since(start)
			}
			time.Sleep(time.Millisecond)
		}
		done := time.Since(start)
		b.StopTimer()
		if relayed == 0 {
			relayed = done
		}
		b.ReportMetric(float64(b.N)/relayed.Seconds(), "relayed/s")
		b.ReportMetric(float64(b.N)/done.Seconds(), "worked/s")
		require.NoError(b, p.Stop(context.Background()))
	})
}

// BenchmarkEmit prints what an event adds to the write of a course: the ratio of the
// medians of interleaved writes, one by one.
func BenchmarkEmit(b *testing.B) {
	onPlaces(b, func(b *testing.B, backend *storage.Backend, queue tasks.Queue) {
		require.NoError(b, queue.Stop(b.Context()))
		p, err := ustat.New(backend, nil)
		require.NoError(b, err)
		require.NoError(b, p.Start(b.Context()))
		u, err := p.Accounts.CreateUser(b.Context(), accounts.System, accounts.NewUser{Username: "anna", Email: "anna@example.org", Role: core.Teacher})
		require.NoError(b, err)
		n := 0
		write := func(emit bool) time.Duration {
			n++
			now := core.Time(time.Now())
			start := time.Now()
			require.NoError(b, backend.Courses.Update(b.Context(), func(ctx context.Context, tx courses.Tx) error {
				made, err := tx.InsertCourses(ctx, []courses.Course{{
					Slug: fmt.Sprint("course-", n), Title: "Databases", Description: "From the file to the query planner.", Status: courses.Draft,
					Teacher: courses.Teacher{ID: u.ID}, Price: core.Money{Currency: "RUB"}, CreatedAt: now, UpdatedAt: now,
				}})
				if err != nil || !emit {
					return err
				}
				return tx.Emit(ctx, core.NewEvent(courses.EventCreated, "course/1", core.Actor{UserID: u.ID}, now, courses.Changed{Course: made[0].ID, Slug: made[0].Slug}))
			}))
			return time.Since(start)
		}
		var with, without []time.Duration
		for b.Loop() {
			without, with = append(without, write(false)), append(with, write(true))
		}
		slices.Sort(with)
		slices.Sort(without)
		b.ReportMetric(float64(with[len(with)/2])/float64(without[len(without)/2]), "ratio")
		require.NoError(b, p.Stop(context.Background()))
	})
}

// BenchmarkPickUp prints how long an event is on its way from its commit to its
// handler, in an idle process: the median and the 99th percentile.
func BenchmarkPickUp(b *testing.B) {
	onPlaces(b, func(b *testing.B, backend *storage.Backend, queue tasks.Queue) {
		p, err := ustat.New(backend, &ustat.Config{Queue: queue})
		require.NoError(b, err)
		arrived := make(chan time.Time, 1)
		require.NoError(b, p.Subscribe(tasks.Subscription{Name: "s", Handle: func(context.Context, core.Event) error {
			arrived <- time.Now()
			return nil
		}}))
		require.NoError(b, p.Start(b.Context()))
		var took []time.Duration
		for b.Loop() {
			require.NoError(b, backend.Courses.Update(b.Context(), func(ctx context.Context, tx courses.Tx) error {
				return tx.Emit(ctx, core.NewEvent(courses.EventCreated, "course/1", core.Actor{}, time.Now(), courses.Changed{}))
			}))
			committed := time.Now()
			took = append(took, (<-arrived).Sub(committed))
			time.Sleep(37 * time.Millisecond) // not in step with any poll
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		require.NoError(b, p.Stop(context.Background()))
	})
}
