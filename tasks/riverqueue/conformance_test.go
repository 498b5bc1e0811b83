package riverqueue_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/tasks/riverqueue"
	"github.com/ustat/ustat/tasks/taskstest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		pgtest.Stop()
		os.Exit(code)
	}))
}

var quick = &riverqueue.Options{Poll: 20 * time.Millisecond}

func TestSQLiteConforms(t *testing.T) {
	t.Parallel()
	taskstest.Run(t, func(t *testing.T) func() tasks.Queue {
		path := filepath.Join(t.TempDir(), "queue.db")
		return func() tasks.Queue {
			q, err := riverqueue.SQLite(t.Context(), path, quick)
			require.NoError(t, err)
			return q
		}
	}, true)
}

func TestPostgreSQLConforms(t *testing.T) {
	t.Parallel()
	taskstest.Run(t, func(t *testing.T) func() tasks.Queue {
		dsn := pgtest.DSN(t)
		return func() tasks.Queue {
			q, err := riverqueue.Postgres(t.Context(), dsn, quick)
			require.NoError(t, err)
			return q
		}
	}, true)
}

func TestWhatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	for name, opt := range map[string]*riverqueue.Options{
		"a slow poll":   {Poll: time.Hour},
		"a hasty loss":  {LostAfter: time.Millisecond},
		"a schema":      {Schema: "river"},
		"a single conn": {MaxConns: 1},
	} {
		_, err := riverqueue.SQLite(t.Context(), path, opt)
		require.ErrorIs(t, err, core.ErrInvalid, name)
	}
	_, err := riverqueue.SQLite(t.Context(), filepath.Join(path, "no", "folder.db"), nil)
	require.ErrorIs(t, err, core.ErrUnavailable)
	_, err = riverqueue.Postgres(t.Context(), "postgres://localhost:1/none?connect_timeout=2", nil)
	require.ErrorIs(t, err, core.ErrUnavailable)
	_, err = riverqueue.Postgres(t.Context(), "postgres://%%%", nil)
	require.ErrorIs(t, err, core.ErrInvalid)
}

func TestASchemaOfItsOwn(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.ExecContext(t.Context(), "CREATE SCHEMA jobs")
	require.NoError(t, err)
	q, err := riverqueue.Postgres(t.Context(), dsn, &riverqueue.Options{Schema: "jobs"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Stop(context.Background())) })
	require.ErrorIs(t, q.Check(t.Context()), tasks.ErrNotMigrated)
	require.NoError(t, q.Migrate(t.Context()))
	require.NoError(t, q.Insert(t.Context(), tasks.Insert{Kind: "k", Key: "k"}))
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM jobs.river_job").Scan(&n))
	require.Equal(t, 1, n)
}
