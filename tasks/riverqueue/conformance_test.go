package riverqueue_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

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
