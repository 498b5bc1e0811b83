package ustat_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

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

func TestMain(m *testing.M) {
	if role := os.Getenv(childEnv); role != "" {
		os.Exit(runChild(role))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		pgtest.Stop()
		os.Exit(code)
	}))
}

// place is a database that platforms of a test share.
type place struct {
	backend func(t *testing.T) *storage.Backend
	queue   func(t *testing.T) tasks.Queue
	handle  func(t *testing.T) *sql.DB // beside them
}

var quick = &riverqueue.Options{Poll: 20 * time.Millisecond}

// onEngines runs a test on each engine.
func onEngines(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "ustat.db")
		test(t, place{
			func(t *testing.T) *storage.Backend { return must(sqlite.Open(t.Context(), path, nil))(t) },
			func(t *testing.T) tasks.Queue { return must(riverqueue.SQLite(t.Context(), path, quick))(t) },
			func(t *testing.T) *sql.DB {
				return handle(t, "sqlite", "file:"+path+"?_txlock=immediate&_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)")
			},
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.DSN(t)
		test(t, place{
			func(t *testing.T) *storage.Backend { return must(postgres.Open(t.Context(), dsn, nil))(t) },
			func(t *testing.T) tasks.Queue { return must(riverqueue.Postgres(t.Context(), dsn, quick))(t) },
			func(t *testing.T) *sql.DB { return handle(t, "pgx", dsn) },
		})
	})
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		require.NoError(t, err)
		return v
	}
}

func handle(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// running returns a started platform of the place.
func (p place) running(t *testing.T, config ustat.Config, before func(p *ustat.Platform)) *ustat.Platform {
	t.Helper()
	if config.Queue == nil {
		config.Queue = p.queue(t)
	}
	platform, err := ustat.New(p.backend(t), &config)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, platform.Stop(ctx))
	})
	if before != nil {
		before(platform)
	}
	require.NoError(t, platform.Start(t.Context()))
	return platform
}

// recorder is a subscriber that keeps what it got.
type recorder struct {
	mu  sync.Mutex
	got []core.Event
}

func (r *recorder) handle(_ context.Context, e core.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, e)
	return nil
}

func (r *recorder) types() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.got {
		out = append(out, e.Type)
	}
	return out
}

func eventually(t *testing.T, what func() bool, msg string) {
	t.Helper()
	require.Eventually(t, what, 20*time.Second, 5*time.Millisecond, msg)
}

func newTeacher(t *testing.T, p *ustat.Platform, name string) core.Actor {
	t.Helper()
	u, err := p.Accounts.CreateUser(t.Context(), accounts.System, accounts.NewUser{Username: name, Email: name + "@example.org", Role: core.Teacher})
	require.NoError(t, err)
	return core.Actor{UserID: u.ID, Role: u.Role}
}

func TestEventsReachTheirSubscribersAfterTheCommitAndNotAfterARollback(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, at place) {
		var log recorder
		p := at.running(t, ustat.Config{}, func(p *ustat.Platform) {
			require.NoError(t, p.Subscribe(tasks.Subscription{Name: "log", Types: []string{courses.EventCreated, courses.EventUpdated}, Handle: log.handle}))
		})
		anna := newTeacher(t, p, "anna")
		start := time.Now()
		course, err := p.Courses.Create(t.Context(), anna, courses.NewCourse{Title: "Databases"})
		require.NoError(t, err)
		eventually(t, func() bool { return len(log.types()) == 1 }, "it was created")
		t.Logf("from the call of Create to the subscriber: %s", time.Since(start))
		err = p.Atomic(t.Context(), func(p *ustat.Platform) error {
			if _, err := p.Courses.Create(t.Context(), anna, courses.NewCourse{Title: "Rolled back"}); err != nil {
				return err
			}
			return errors.New("no")
		})
		require.EqualError(t, err, "no")
		title := "Databases, again"
		_, err = p.Courses.Edit(t.Context(), anna, course.Slug, courses.CourseEdit{Title: &title})
		require.NoError(t, err)
		eventually(t, func() bool { return len(log.types()) == 2 }, "it was updated")
		require.Equal(t, []string{courses.EventCreated, courses.EventUpdated}, log.types())
	})
}

// What a handler does ends with its job, on each engine.
func TestAHandlerThatIsPoisonIsDiscardedAndOthersGoOn(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{})
	t.Cleanup(func() { close(hanging) })
	long := errors.New(strings.Repeat("ё", 50<<20)) // 100 MB
	poison := map[string]func(context.Context, core.Event) error{
		"panics":             func(context.Context, core.Event) error { panic("boom\x00") },
		"ends its goroutine": func(context.Context, core.Event) error { runtime.Goexit(); return nil },
		"hangs":              func(context.Context, core.Event) error { <-hanging; return nil },
		"a long error":       func(context.Context, core.Event) error { return long },
	}
	onEngines(t, func(t *testing.T, at place) {
		var log recorder
		queue := at.queue(t)
		p := at.running(t, ustat.Config{Queue: queue, TaskConcurrency: 2}, func(p *ustat.Platform) {
			require.NoError(t, p.Subscribe(tasks.Subscription{Name: "good", Types: []string{courses.EventCreated, courses.EventUpdated}, Handle: log.handle}))
			for name, handle := range poison {
				attempts := 2
				if name == "hangs" {
					attempts = 1 // it is waited for five seconds
				}
				require.NoError(t, p.Subscribe(tasks.Subscription{
					Name: name, Types: []string{courses.EventCreated}, MaxAttempts: attempts, Timeout: 100 * time.Millisecond, Backoff: time.Millisecond, Handle: handle,
				}))
			}
		})
		anna := newTeacher(t, p, "anna")
		course, err := p.Courses.Create(t.Context(), anna, courses.NewCourse{Title: "Databases"})
		require.NoError(t, err)
		var discarded []tasks.Job
		eventually(t, func() bool {
			discarded, err = queue.List(t.Context(), tasks.JobQuery{State: tasks.Discarded, Limit: 10})
			return err == nil && len(discarded) == len(poison)
		}, "all poison is discarded")
		for _, job := range discarded {
			require.Len(t, job.Failures, job.MaxAttempts, job.Kind)
			require.NotEmpty(t, job.Failures[0].Error, job.Kind)
			require.LessOrEqual(t, len(job.Failures[0].Error), tasks.MaxError, job.Kind)
		}
		title := "Databases, again"
		_, err = p.Courses.Edit(t.Context(), anna, course.Slug, courses.CourseEdit{Title: &title})
		require.NoError(t, err)
		eventually(t, func() bool { return len(log.types()) == 2 }, "others go on")
	})
}

// A process that relays and works nothing, and one that works.
func TestAWebProcessLeavesTheWorkToAWorker(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, at place) {
		var web, worker recorder
		subscribe := func(r *recorder) func(p *ustat.Platform) {
			return func(p *ustat.Platform) {
				require.NoError(t, p.Subscribe(tasks.Subscription{Name: "log", Handle: r.handle}))
			}
		}
		p := at.running(t, ustat.Config{TaskConcurrency: -1}, subscribe(&web))
		at.running(t, ustat.Config{NoRelay: true}, subscribe(&worker))
		_, err := p.Courses.Create(t.Context(), newTeacher(t, p, "anna"), courses.NewCourse{Title: "Databases"})
		require.NoError(t, err)
		eventually(t, func() bool { return len(worker.types()) >= 2 }, "the worker got them")
		require.Empty(t, web.types())
	})
}

func TestAHostsRowsAndACourseCommitTogetherOrNotAtAll(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, at place) {
		var log recorder
		p := at.running(t, ustat.Config{}, func(p *ustat.Platform) {
			require.NoError(t, p.Subscribe(tasks.Subscription{Name: "log", Types: []string{courses.EventCreated}, Handle: log.handle}))
		})
		anna := newTeacher(t, p, "anna")
		db := at.handle(t)
		_, err := db.ExecContext(t.Context(), "CREATE TABLE launches (course TEXT)")
		require.NoError(t, err)
		launches := func() (n int) {
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM launches").Scan(&n))
			return n
		}
		// One row of the host's own and one course.
		both := func(p *ustat.Platform, title string) error {
			course, err := p.Courses.Create(t.Context(), anna, courses.NewCourse{Title: title})
			if err != nil {
				return err
			}
			_, err = p.Tx().ExecContext(t.Context(), "INSERT INTO launches VALUES ('"+course.Slug+"')")
			return err
		}
		errNo := errors.New("no")
		for name, in := range map[string]func(title string, end error) error{
			"in": func(title string, end error) error {
				tx, err := db.BeginTx(t.Context(), nil)
				require.NoError(t, err)
				inside, err := p.In(tx)
				require.NoError(t, err)
				if err := both(inside, title); err != nil || end != nil {
					return errors.Join(err, end, tx.Rollback())
				}
				return tx.Commit()
			},
			"atomic": func(title string, end error) error {
				return p.Atomic(t.Context(), func(p *ustat.Platform) error { return errors.Join(both(p, title), end) })
			},
		} {
			before, events := launches(), len(log.types())
			require.ErrorIs(t, in("No "+name, errNo), errNo)
			require.Equal(t, before, launches())
			require.NoError(t, in("Yes "+name, nil))
			require.Equal(t, before+1, launches())
			_, err := p.Courses.Course(t.Context(), anna, "no-"+name)
			require.ErrorIs(t, err, core.ErrNotFound)
			_, err = p.Courses.Course(t.Context(), anna, "yes-"+name)
			require.NoError(t, err)
			eventually(t, func() bool { return len(log.types()) == events+1 }, "its event, and no other")
		}
		err = p.Atomic(t.Context(), func(in *ustat.Platform) error {
			return in.Atomic(t.Context(), func(*ustat.Platform) error { return nil })
		})
		require.ErrorIs(t, err, core.ErrCannotJoin)
		require.Panics(t, func() { _ = p.Atomic(t.Context(), func(*ustat.Platform) error { panic("boom") }) })
		require.NoError(t, p.Atomic(t.Context(), func(*ustat.Platform) error { return nil }), "the writer is free again")
	})
}

func TestAtomicRunsAgainWhatMeetsAnother(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, at place) {
		p := at.running(t, ustat.Config{}, nil)
		runs := 0
		require.NoError(t, p.Atomic(t.Context(), func(*ustat.Platform) error {
			if runs++; runs < 3 {
				return fmt.Errorf("of a joined store: %w", core.ErrRetry)
			}
			return nil
		}))
		require.Equal(t, 3, runs)
	})
}

func TestStartRefusesSubscribersWithoutAQueue(t *testing.T) {
	t.Parallel()
	backend, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	p, err := ustat.New(backend, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop(context.Background())) })
	require.NoError(t, p.Subscribe(tasks.Subscription{Name: "x", Handle: new(recorder).handle}))
	require.ErrorIs(t, p.Start(t.Context()), core.ErrInvalid)
	_, err = p.Jobs.List(t.Context(), accounts.System, tasks.Filter{}, core.Page{})
	require.ErrorIs(t, err, core.ErrUnavailable)
}

func TestManualMigrationsAskTheQueueToo(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, at place) {
		backend, queue := at.backend(t), at.queue(t)
		_, err := backend.Schema.Migrate(t.Context())
		require.NoError(t, err)
		_, err = backend.Analytics.Migrate(t.Context())
		require.NoError(t, err)
		p, err := ustat.New(backend, &ustat.Config{Queue: queue, ManualMigrations: true})
		require.NoError(t, err)
		require.ErrorIs(t, p.Start(t.Context()), tasks.ErrNotMigrated)
		require.NoError(t, queue.Migrate(t.Context()))
		require.NoError(t, p.Start(t.Context()))
		require.NoError(t, p.Stop(t.Context()))
		require.ErrorIs(t, queue.Check(t.Context()), core.ErrClosed)
	})
}

// testClock is a core.Clock that a test moves.
type testClock struct{ ahead atomic.Int64 }

func (c *testClock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())).UTC() }

func TestCleanupRemovesWhatWasKeptForLongEnough(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, at place) {
		var c testClock
		queue := at.queue(t)
		p := at.running(t, ustat.Config{Clock: &c, Queue: queue}, func(p *ustat.Platform) {
			require.NoError(t, p.Subscribe(tasks.Subscription{Name: "log", Handle: new(recorder).handle}))
		})
		db := at.handle(t)
		count := func(what string) (n int) {
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+what).Scan(&n))
			return n
		}
		kept := map[string]int{}
		fill := func(name string) {
			anna, err := p.Accounts.CreateUser(t.Context(), accounts.System, accounts.NewUser{
				Username: name, Email: name + "@example.org", Role: core.Teacher, Password: "correct horse battery",
			})
			require.NoError(t, err)
			_, err = p.Accounts.Login(t.Context(), accounts.Credentials{Login: name, Password: "correct horse battery"}, accounts.Client{Network: "192.0.2.0/24"})
			require.NoError(t, err)
			by := core.Actor{UserID: anna.ID, Role: anna.Role}
			_, err = p.Courses.Create(t.Context(), by, courses.NewCourse{Title: "Databases " + name, Key: "k-" + name})
			require.NoError(t, err)
		}
		fill("anna")
		eventually(t, func() bool { return count("ustat_outbox WHERE done_at IS NULL") == 0 }, "all is delivered")
		for _, table := range []string{"ustat_outbox", "ustat_idempotency", "ustat_sessions", "ustat_refresh_tokens", "ustat_audit"} {
			kept[table] = count(table)
			require.NotZero(t, kept[table], table)
		}
		eventually(t, func() bool { return count("river_job WHERE state = 'completed'") > 2 }, "jobs are done")

		c.ahead.Store(int64(40 * 24 * time.Hour))
		// Beside the next period's, two more at once: what is removed twice is removed.
		require.NoError(t, queue.Insert(t.Context(), tasks.Insert{Kind: ustat.CleanupTask, Key: "one", Args: []byte(`"2026-01-02T03:00:00Z"`)},
			tasks.Insert{Kind: ustat.CleanupTask, Key: "two", Args: []byte(`"2026-01-02T03:00:00Z"`)}))
		eventually(t, func() bool {
			return count("ustat_outbox")+count("ustat_idempotency")+count("ustat_sessions")+count("ustat_refresh_tokens") == 0
		}, "the next period's cleanup removes them")
		require.Equal(t, kept["ustat_audit"], count("ustat_audit"))
		require.Equal(t, 1, count("ustat_users"), "and what is to last stays")
		eventually(t, func() bool { return count("river_job WHERE state = 'completed'") <= 4 }, "jobs are removed, but for the cleanups themselves")
		require.Zero(t, p.TaskStats().Failed)
	})
}
