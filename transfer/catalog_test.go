package transfer_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/transfer"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// open returns an empty, migrated backend in a file of its own.
func open(t testing.TB) *storage.Backend {
	t.Helper()
	backend, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "ustat.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backend.Close()) })
	_, err = backend.Schema.Migrate(t.Context())
	require.NoError(t, err)
	return backend
}

// openPostgres is open on PostgreSQL; it skips the test where there is none.
func openPostgres(t testing.TB) *storage.Backend {
	t.Helper()
	backend, err := postgres.Open(t.Context(), pgtest.DSN(t), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backend.Close()) })
	_, err = backend.Schema.Migrate(t.Context())
	require.NoError(t, err)
	return backend
}

// catalog returns the folder of the real catalogue, which is never committed.
func catalog(t testing.TB) string {
	t.Helper()
	root := os.Getenv("USTAT_TEST_DATA")
	if root == "" {
		t.Skip("set USTAT_TEST_DATA to the folder that holds import/catalog to run this")
	}
	return filepath.Join(root, "import", "catalog")
}

func TestTheRealCatalogueComesInWholeAndOnce(t *testing.T) {
	t.Parallel()
	dir, backend := catalog(t), open(t)
	opts := &transfer.Options{Refused: func(r transfer.Refusal) { t.Error(r) }, Warned: func(w transfer.Warning) { t.Error(w) }}

	first, err := transfer.Import(t.Context(), backend, os.DirFS(dir), opts)
	require.NoError(t, err)
	require.Equal(t, []transfer.FileReport{
		{File: "categories.csv", Counts: transfer.Counts{Inserted: 46}},
		{File: "users.csv", Counts: transfer.Counts{Inserted: 140}},
		{File: "courses.csv", Counts: transfer.Counts{Inserted: 7246}},
		{File: "modules.csv", Counts: transfer.Counts{Inserted: 14492}},
		{File: "lessons.csv", Counts: transfer.Counts{Inserted: 28984}},
	}, first.Files)
	count, err := backend.Courses.CountCourses(t.Context(), courses.ListQuery{Status: courses.Published})
	require.NoError(t, err)
	require.Equal(t, 7246, count)

	second, err := transfer.Import(t.Context(), backend, os.DirFS(dir), opts)
	require.NoError(t, err)
	require.Equal(t, transfer.Counts{Unchanged: first.Total().Inserted}, second.Total())
}

func BenchmarkImport(b *testing.B) {
	dir := catalog(b)
	rows := 0
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		backend := open(b)
		b.StartTimer()
		start := time.Now()
		report, err := transfer.Import(b.Context(), backend, os.DirFS(dir), nil)
		require.NoError(b, err)
		spent += time.Since(start)
		rows += report.Total().Rows()
	}
	b.ReportMetric(float64(rows)/spent.Seconds(), "rows/s")
}
