package bench

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/transfer"
)

// engine is a filled database with both ways to serve it.
type engine struct {
	name     string
	backend  *storage.Backend
	platform *ustat.Platform
	ours     http.Handler
	hand     http.Handler
	path     string // of the file, on SQLite
	db       *sql.DB
	dialect  dialect
	writer   *sql.DB // of the hand-written ones, to write to
}

// catalog returns the folder of the real catalogue.
func catalog(b *testing.B) string {
	data := os.Getenv("USTAT_TEST_DATA")
	if data == "" {
		b.Skip("USTAT_TEST_DATA is not set: it names the folder with import/catalog")
	}
	return filepath.Join(data, "import", "catalog")
}

// engines opens SQLite, and PostgreSQL where there is one, with the catalogue of a
// folder.
func engines(b *testing.B, folder string) []engine { return enginesWith(b, folder, nil) }

// enginesWith is engines whose platforms are made with a Config.
func enginesWith(b *testing.B, folder string, config *ustat.Config) []engine {
	path := filepath.Join(b.TempDir(), "bench.db")
	lite, err := sqlite.Open(b.Context(), path, nil)
	require.NoError(b, err)
	liteDB, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(5000)&_pragma=cache_size(-8000)")
	require.NoError(b, err)
	liteDB.SetMaxOpenConns(8)
	liteDB.SetMaxIdleConns(8)
	liteWriter, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_time_format=sqlite&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-8000)")
	require.NoError(b, err)
	liteWriter.SetMaxOpenConns(1)

	dsn := pgtest.DSN(b)
	pg, err := postgres.Open(b.Context(), withConns(dsn, 8), nil) // as many as the hand-written handlers have
	require.NoError(b, err)
	pgDB, err := sql.Open("pgx", dsn)
	require.NoError(b, err)
	pgDB.SetMaxOpenConns(8)
	pgDB.SetMaxIdleConns(8)

	var out []engine
	for _, e := range []struct {
		name    string
		path    string
		backend *storage.Backend
		db      *sql.DB
		writer  *sql.DB
		dialect dialect
	}{{"sqlite", path, lite, liteDB, liteWriter, sqliteText}, {"postgres", "", pg, pgDB, pgDB, postgresText}} {
		p, err := ustat.New(e.backend, config)
		require.NoError(b, err)
		require.NoError(b, p.Start(b.Context()))
		b.Cleanup(func() {
			require.NoError(b, e.db.Close())
			require.NoError(b, e.writer.Close()) // a second Close of one pool does nothing
			require.NoError(b, p.Stop(context.Background()))
		})
		_, err = transfer.Import(b.Context(), e.backend, os.DirFS(folder), &transfer.Options{Refused: func(r transfer.Refusal) { b.Fatal(r) }})
		require.NoError(b, err)
		if e.name == "postgres" {
			_, err = e.db.Exec("ANALYZE")
			require.NoError(b, err)
		}
		ours, err := httpapi.New(p, nil)
		require.NoError(b, err)
		out = append(out, engine{e.name, e.backend, p, ours, handwritten(e.db, e.writer, e.dialect), e.path, e.db, e.dialect, e.writer})
	}
	return out
}

// withConns returns a DSN, a URL or a list of keywords, whose pool has so many connections.
func withConns(dsn string, n int) string {
	separator := " "
	switch {
	case strings.Contains(dsn, "://") && strings.Contains(dsn, "?"):
		separator = "&"
	case strings.Contains(dsn, "://"):
		separator = "?"
	}
	return fmt.Sprintf("%s%spool_max_conns=%d", dsn, separator, n)
}

// BenchmarkHandlers prints, for each request on each engine, how many requests a
// second ours serves beside the hand-written handler: medians of interleaved
// rounds of one run, 16 callers, no network.
func BenchmarkHandlers(b *testing.B) {
	for _, e := range engines(b, catalog(b)) {
		slug := firstSlug(b, e)
		for _, request := range []struct{ name, path string }{
			{"list", "/api/v1/courses/"},
			{"list-by-category", "/api/v1/courses/?category=programmirovanie&sort=rating"},
			{"detail", "/api/v1/courses/" + slug + "/"},
			{"search", "/api/v1/courses/search/?q=python"},
		} {
			b.Run(e.name+"/"+request.name, func(b *testing.B) { compare(b, e, request.path) })
		}
	}
}

// compare runs both handlers in turns of equal length and reports the ratio.
func compare(b *testing.B, e engine, path string) {
	const rounds, callers = 7, 16
	perRound := max(b.N/rounds, 200)
	var ours, hand []float64
	requireOK(b, e.ours, path)
	requireOK(b, e.hand, path)
	b.ResetTimer()
	for range rounds {
		ours = append(ours, rate(e.ours, path, perRound, callers))
		hand = append(hand, rate(e.hand, path, perRound, callers))
	}
	b.ReportMetric(median(ours)/median(hand), "ratio")
	b.ReportMetric(median(ours), "ours/s")
	b.ReportMetric(median(hand), "hand/s")
	b.ReportMetric(0, "ns/op")
}

// rate returns how many of n requests are served in a second.
func rate(h http.Handler, path string, n, callers int) float64 {
	var wait sync.WaitGroup
	start := time.Now()
	for range callers {
		wait.Go(func() {
			for range n / callers {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				h.ServeHTTP(&discard{header: http.Header{}}, r)
			}
		})
	}
	wait.Wait()
	return float64(n) / time.Since(start).Seconds()
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func median(xs []float64) float64 {
	slices.Sort(xs)
	return xs[len(xs)/2]
}

func requireOK(b *testing.B, h http.Handler, path string) {
	b.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	body, _ := io.ReadAll(w.Body)
	require.Equal(b, http.StatusOK, w.Code, "%s: %s", path, body)
	require.Greater(b, len(body), 200, path)
}

func firstSlug(b *testing.B, e engine) string {
	b.Helper()
	return fmt.Sprint(newest(b, e.platform, "").Items[0].Slug)
}
