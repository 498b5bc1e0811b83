package storagetest_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/storage/storagetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestSQLiteInAFileConforms(t *testing.T) {
	t.Parallel()
	var s side
	storagetest.Run(t, func(t *testing.T) *storage.Backend { return openSQLite(t, &s) }, s.limits(true))
}

func TestSQLiteInMemoryConforms(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) *storage.Backend {
		b, err := sqlite.InMemory(t.Context(), nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = b.Close() })
		_, err = b.Schema.Migrate(t.Context())
		require.NoError(t, err)
		return b
	}, storagetest.Limits{SingleWriter: true})
}

func TestPostgreSQLConforms(t *testing.T) {
	t.Parallel()
	pgtest.Source(t) // skips once, not in every case
	var s side
	storagetest.Run(t, func(t *testing.T) *storage.Backend {
		dsn := pgtest.Template(t, "ustat", migrated)
		b, err := postgres.Open(t.Context(), dsn, nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = b.Close() })
		s.put(b, "pgx", dsn)
		return b
	}, s.limits(false))
}

// migrated is what the databases of the cases are cloned from.
func migrated(dsn string) error {
	b, err := postgres.Open(context.Background(), dsn, nil)
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = b.Schema.Migrate(context.Background())
	return err
}

// migratedFile is a migrated SQLite database, which the cases get copies of.
var migratedFile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "ustat-storagetest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "ustat.db")
	b, err := sqlite.Open(context.Background(), path, nil)
	if err != nil {
		return nil, err
	}
	_, err = b.Schema.Migrate(context.Background())
	if err = errors.Join(err, b.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func openSQLite(t testing.TB, s *side) *storage.Backend {
	path := filepath.Join(t.TempDir(), "ustat.db")
	file, err := migratedFile()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, file, 0o600))
	b, err := sqlite.Open(context.Background(), path, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() }) // a case may have closed it
	s.put(b, "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	return b
}

// side reaches the databases of our own backends beside them.
type side struct{ handles sync.Map }

type handle struct {
	driver, dsn string
	once        sync.Once
	db          *sql.DB
}

func (s *side) put(b *storage.Backend, driver, dsn string) {
	s.handles.Store(b, &handle{driver: driver, dsn: dsn})
}

func (s *side) open(t testing.TB, b *storage.Backend) *sql.DB {
	t.Helper()
	found, ok := s.handles.Load(b)
	require.True(t, ok)
	h := found.(*handle)
	h.once.Do(func() {
		var err error
		h.db, err = sql.Open(h.driver, h.dsn)
		require.NoError(t, err)
		t.Cleanup(func() { _ = h.db.Close() })
	})
	return h.db
}

func (s *side) limits(singleWriter bool) storagetest.Limits {
	return storagetest.Limits{
		SingleWriter: singleWriter,
		AuditRows: func(t testing.TB, b *storage.Backend) (rows int) {
			t.Helper()
			require.NoError(t, s.open(t, b).QueryRow("SELECT count(*) FROM ustat_audit").Scan(&rows))
			return rows
		},
		SetStats: func(t testing.TB, b *storage.Backend, id courses.CourseID, stats courses.Stats) {
			t.Helper()
			_, err := s.open(t, b).Exec("UPDATE ustat_course_stats SET review_count = $2, rating_sum = $3, rating_rank = $4, students = $5, completions = $6 WHERE course_id = $1",
				int64(id), stats.ReviewCount, stats.RatingSum, stats.RatingRank(), stats.Students, stats.Completions)
			require.NoError(t, err)
		},
	}
}
