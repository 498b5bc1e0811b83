package ustat_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
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

// childEnv names what this test binary does when it runs as the child of a test, and
// databaseEnv the database that it does it on.
const (
	childEnv    = "USTAT_TEST_CHILD"
	databaseEnv = "USTAT_TEST_CHILD_DB"
)

// database is an engine and where its data is: "sqlite path" or "pgx dsn".
type database struct{ driver, dsn string }

func (d database) backend(ctx context.Context) (*storage.Backend, error) {
	if d.driver == "sqlite" {
		return sqlite.Open(ctx, d.dsn, nil)
	}
	return postgres.Open(ctx, d.dsn, nil)
}

// hasty is a queue that soon takes an attempt for lost.
var hasty = &riverqueue.Options{Poll: 20 * time.Millisecond, LostAfter: 100 * time.Millisecond}

func (d database) queue(ctx context.Context) (tasks.Queue, error) {
	if d.driver == "sqlite" {
		return riverqueue.SQLite(ctx, d.dsn, hasty)
	}
	return riverqueue.Postgres(ctx, d.dsn, hasty)
}

func (d database) handle() (*sql.DB, error) {
	if d.driver == "sqlite" {
		db, err := sql.Open(d.driver, "file:"+d.dsn+"?_txlock=immediate&_pragma=busy_timeout(20000)")
		if err == nil {
			db.SetMaxOpenConns(1) // handlers of one process take turns
		}
		return db, err
	}
	return sql.Open(d.driver, d.dsn)
}

// onDatabases runs a test on each engine, with the table of effects.
func onDatabases(t *testing.T, test func(t *testing.T, d database, db *sql.DB)) {
	run := func(t *testing.T, d database) {
		db, err := d.handle()
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		for _, q := range []string{
			"CREATE TABLE effects (what TEXT NOT NULL, subscriber TEXT NOT NULL, calls INTEGER NOT NULL, PRIMARY KEY (what, subscriber))",
		} {
			_, err = db.ExecContext(t.Context(), q)
			require.NoError(t, err)
		}
		test(t, d, db)
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		run(t, database{"sqlite", filepath.Join(t.TempDir(), "ustat.db")})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		run(t, database{"pgx", pgtest.DSN(t)})
	})
}

// childTimeout is how long an attempt of a subscriber may take.
const childTimeout = 2 * time.Second

// subscribers are those of a child: what they do has one effect for an event.
var subscribers = []string{"first", "second"}

// platform returns a platform on the database whose subscribers write their effects,
// started.
func (d database) platform(ctx context.Context, db *sql.DB) (*ustat.Platform, error) {
	backend, err := d.backend(ctx)
	if err != nil {
		return nil, err
	}
	queue, err := d.queue(ctx)
	if err != nil {
		return nil, err
	}
	p, err := ustat.New(backend, &ustat.Config{Queue: queue})
	if err != nil {
		return nil, err
	}
	for _, name := range subscribers {
		if err := p.Subscribe(tasks.Subscription{
			Name: name, Types: []string{courses.EventCreated}, Timeout: childTimeout, Backoff: 10 * time.Millisecond, MaxAttempts: 100,
			Handle: func(ctx context.Context, e core.Event) error { return effect(ctx, db, e.ID.String(), name) },
		}); err != nil {
			return nil, err
		}
	}
	if err := p.Tasks.Every(tasks.Periodic{Name: "tick", Every: time.Second, Timeout: 2 * time.Second, MaxAttempts: 100, Do: func(ctx context.Context, period time.Time) error {
		return effect(ctx, db, period.Format(time.RFC3339), "tick")
	}}); err != nil {
		return nil, err
	}
	return p, p.Start(ctx)
}

// effect is there once, however often it is made; the calls are counted.
func effect(ctx context.Context, db *sql.DB, what, subscriber string) error {
	_, err := db.ExecContext(ctx, "INSERT INTO effects VALUES ($1, $2, 1) ON CONFLICT (what, subscriber) DO UPDATE SET calls = effects.calls + 1", what, subscriber)
	return err
}

// runChild is the main function of a child. It writes a line for each course that
// was acknowledged.
func runChild(role string) int {
	driver, dsn, _ := strings.Cut(os.Getenv(databaseEnv), " ")
	if err := child(role, database{driver, dsn}); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return 1
	}
	return 0
}

func child(role string, d database) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	db, err := d.handle()
	if err != nil {
		return err
	}
	p, err := d.platform(context.WithoutCancel(ctx), db)
	if err != nil {
		return err
	}
	teacher, err := p.Accounts.UserByUsername(ctx, "anna")
	if err != nil {
		return err
	}
	by := core.Actor{UserID: teacher.ID, Role: teacher.Role}
	fmt.Println("ready")
	switch role {
	case "work":
		<-ctx.Done()
	case "commit-and-die":
		if _, err := p.Courses.Create(ctx, by, courses.NewCourse{Title: "Last words"}); err != nil {
			return err
		}
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "write":
		if err := write(ctx, p, by); err != nil {
			return err
		}
	}
	// SIGTERM: stop, and leave nothing behind.
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := errors.Join(p.Stop(limit), db.Close()); err != nil {
		return err
	}
	stop()
	return goleak.Find(goleak.IgnoreAnyFunction("os/signal.loop"))
}

// write creates courses on four goroutines until ctx ends. What was begun by then is
// written, or refused because of that.
func write(ctx context.Context, p *ustat.Platform, by core.Actor) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	errs := make([]error, 4)
	for i := range errs {
		all.Go(func() {
			for ctx.Err() == nil {
				course, err := p.Courses.Create(ctx, by, newCourse())
				if err != nil {
					if ctx.Err() == nil {
						errs[i] = err
					}
					return
				}
				mu.Lock()
				fmt.Println("ack", course.ID)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// newCourse returns a course whose slug nobody has.
func newCourse() courses.NewCourse {
	return courses.NewCourse{Title: "Databases " + uuid.NewString()}
}

// process is a child as its test sees it.
type process struct {
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stderr *strings.Builder
}

func (d database) spawn(t *testing.T, role string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0], "-test.run=^$"), stderr: new(strings.Builder)}
	p.cmd.Env = append(os.Environ(), childEnv+"="+role, databaseEnv+"="+d.driver+" "+d.dsn)
	p.cmd.Stderr = p.stderr
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.lines = bufio.NewScanner(io.LimitReader(out, 64<<20))
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	require.True(t, p.lines.Scan() && p.lines.Text() == "ready", "the child is not ready: %s", p.stderr)
	return p
}

// end sends a signal, and returns the lines that are left and how the child ended.
func (p *process) end(t *testing.T, signal os.Signal) (lines []string, err error) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(signal))
	return p.rest(), p.cmd.Wait()
}

func (p *process) rest() (lines []string) {
	for p.lines.Scan() {
		lines = append(lines, p.lines.Text())
	}
	return lines
}

// prepare makes the tables and the teacher.
func (d database) prepare(t *testing.T) {
	t.Helper()
	backend, err := d.backend(t.Context())
	require.NoError(t, err)
	p, err := ustat.New(backend, nil)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	_, err = p.Accounts.CreateUser(t.Context(), accounts.System, accounts.NewUser{Username: "anna", Email: "anna@example.org", Role: core.Teacher})
	require.NoError(t, err)
	require.NoError(t, p.Stop(t.Context()))
}
