package pgtest

import (
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

func open(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestEachDatabaseIsEmptyAndItsOwn(t *testing.T) {
	t.Parallel()
	first, second := open(t, DSN(t)), open(t, DSN(t))
	_, err := first.Exec(t.Context(), "CREATE TABLE a (n int)")
	require.NoError(t, err)
	var tables int
	require.NoError(t, second.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables))
	require.Zero(t, tables)
	if strings.HasPrefix(Source(t), "local") {
		var lower string
		require.NoError(t, first.QueryRow(t.Context(), "SELECT lower('Ё')").Scan(&lower))
		require.Equal(t, "ё", lower)
	}
}

func TestATemplateIsFilledOnceAndClonedForEachTest(t *testing.T) {
	t.Parallel()
	var filled atomic.Int32
	fill := func(dsn string) error {
		filled.Add(1)
		conn, err := pgx.Connect(context.Background(), dsn)
		if err != nil {
			return err
		}
		defer conn.Close(context.Background())
		_, err = conn.Exec(context.Background(), "CREATE TABLE a (n int); INSERT INTO a VALUES (1)")
		return err
	}
	name := rand.Text() // -count runs this more than once in one process
	for range 8 {
		t.Run("a copy holds what was filled in and nothing of other copies", func(t *testing.T) {
			t.Parallel()
			conn := open(t, Template(t, name, fill))
			var rows int
			require.NoError(t, conn.QueryRow(t.Context(), "INSERT INTO a VALUES (2) RETURNING (SELECT count(*) FROM a)").Scan(&rows))
			require.Equal(t, 1, rows)
			require.EqualValues(t, 1, filled.Load())
		})
	}
}

func TestADatabaseIsDroppedWithItsTest(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("a test that uses a database", func(t *testing.T) {
		conn := open(t, DSN(t))
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT current_database()").Scan(&name))
	})
	conn := open(t, DSN(t))
	var found bool
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&found))
	require.False(t, found)
}

func TestWithDatabaseTakesURLsAndKeywords(t *testing.T) {
	t.Parallel()
	require.Equal(t, "postgres://u:p@h:1/x?sslmode=disable", withDatabase("postgres://u:p@h:1/d?dbname=e&sslmode=disable", "x"))
	require.Equal(t, "host=h dbname=d dbname=x", withDatabase("host=h dbname=d", "x"))
	for _, dsn := range []string{"postgres://u:p@h:1/d?dbname=e", "host=h user=u dbname=d"} {
		config, err := pgx.ParseConfig(withDatabase(dsn, "x"))
		require.NoError(t, err)
		require.Equal(t, "x", config.Database)
	}
}

// A process that dies without a word must leave neither a server nor its files.
func TestALocalClusterGoesWithItsProcess(t *testing.T) {
	const child = "USTAT_PGTEST_CHILD"
	if os.Getenv(child) != "" {
		config, err := pgx.ParseConfig(DSN(t))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(os.Getenv(child), []byte(config.Host), 0o600))
		self, err := os.FindProcess(os.Getpid())
		require.NoError(t, err)
		require.NoError(t, self.Kill())
		select {}
	}
	t.Parallel()
	if !strings.HasPrefix(Source(t), "local") {
		t.Skip("the server was not started here")
	}
	report := filepath.Join(t.TempDir(), "dir")
	run := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	run.Env = append(os.Environ(), child+"="+report)
	require.Error(t, run.Run())
	dir, err := os.ReadFile(report)
	require.NoError(t, err)
	require.NotEmpty(t, dir)
	require.Eventually(t, func() bool {
		_, err := os.Stat(string(dir))
		return os.IsNotExist(err)
	}, 10*time.Second, 20*time.Millisecond)
}

func TestRequiredReadsAList(t *testing.T) {
	t.Setenv("USTAT_TEST_REQUIRE", "redis, postgres")
	require.True(t, Required("postgres"))
	require.False(t, Required("docker"))
}
