package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/internal/sqlstore"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
)

// The environment of a child process that kills itself in a migration.
const (
	killAtEnv  = "USTAT_TEST_KILL_AT"
	killDBEnv  = "USTAT_TEST_KILL_DB"
	killPGFlag = "postgres://"
)

func TestMain(m *testing.M) {
	if at := os.Getenv(killAtEnv); at != "" {
		migrateAndDie(at, os.Getenv(killDBEnv))
	}
	pgtest.Main(m)
}

// migrateAndDie migrates and kills the process after statement at, counted through
// all migrations.
func migrateAndDie(at, dsn string) {
	n, _ := strconv.Atoi(at)
	done := 0
	ctx := sqlstore.WithAfterStatement(context.Background(), func(int) {
		if done++; done == n {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	backend, err := open(ctx, dsn)
	if err == nil {
		_, err = backend.Schema.Migrate(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func open(ctx context.Context, dsn string) (*storage.Backend, error) {
	if strings.HasPrefix(dsn, killPGFlag) || strings.Contains(dsn, "dbname=") {
		return postgres.Open(ctx, dsn, nil)
	}
	return sqlite.Open(ctx, dsn, nil)
}

type engine struct {
	name  string
	fresh func(t *testing.T) string
	sql   string // the driver's name
	dump  string // a query whose rows are the schema
}

func engines() []engine {
	return []engine{
		{
			"sqlite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "m.db") }, "sqlite",
			"SELECT coalesce(sql, name) FROM sqlite_master ORDER BY type, name",
		},
		{
			"postgres", func(t *testing.T) string { return pgtest.DSN(t) }, "pgx",
			// Of two CREATE TABLE IF NOT EXISTS that meet, one may leave a sequence or an
			// index of the migrator's tables under a name with a number.
			"SELECT regexp_replace(x, '_(seq|key|pkey)[0-9]+', '_\\1', 'g') AS y FROM (" +
				"SELECT table_name || '.' || column_name || ' ' || data_type || coalesce(column_default, '') || is_nullable AS x FROM information_schema.columns WHERE table_schema = 'public'" +
				" UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public') AS s ORDER BY y",
		},
	}
}

// dump returns the schema as text.
func (e engine) schema(t *testing.T, dsn string) string {
	t.Helper()
	if e.sql == "sqlite" {
		dsn = "file:" + dsn
	}
	db, err := sql.Open(e.sql, dsn)
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), e.dump)
	require.NoError(t, err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		all = append(all, line)
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, all)
	return strings.Join(all, "\n")
}

func migrate(t *testing.T, dsn string) []string {
	t.Helper()
	backend, err := open(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, backend.Close()) }()
	applied, err := backend.Schema.Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, backend.Schema.Check(t.Context()))
	return applied
}

func TestAMigrationKilledAtAnyStatementIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	step := 7 // of statements; all of them at scale
	if os.Getenv("USTAT_TEST_SCALE") != "" {
		step = 1
	}
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			clean := e.fresh(t)
			migrate(t, clean)
			want := e.schema(t, clean)
			killed := 0
			for at := 1; ; at += step {
				dsn := e.fresh(t)
				child := exec.CommandContext(t.Context(), os.Args[0])
				child.Env = append(os.Environ(), killAtEnv+"="+strconv.Itoa(at), killDBEnv+"="+dsn)
				out, err := child.CombinedOutput()
				if err == nil { // there is no such statement any more
					break
				}
				require.Equal(t, syscall.SIGKILL, child.ProcessState.Sys().(syscall.WaitStatus).Signal(), "%s", out)
				killed++
				migrate(t, dsn)
				require.Equal(t, want, e.schema(t, dsn), "killed after statement %d", at)
			}
			require.Greater(t, killed, 3)
		})
	}
}

func TestFourMigrateAtOnceAndASecondTimeDoesNothing(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			dsn := e.fresh(t)
			var wait sync.WaitGroup
			errs := make([]error, 4)
			for i := range errs {
				wait.Go(func() {
					backend, err := open(t.Context(), dsn)
					if err == nil {
						_, err = backend.Schema.Migrate(t.Context())
						_ = backend.Close()
					}
					errs[i] = err
				})
			}
			wait.Wait()
			for _, err := range errs {
				require.NoError(t, err)
			}
			require.Empty(t, migrate(t, dsn))
			clean := e.fresh(t)
			require.NotEmpty(t, migrate(t, clean))
			require.Equal(t, e.schema(t, clean), e.schema(t, dsn))
		})
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			dsn := e.fresh(t)
			migrate(t, dsn)
			name := dsn
			if e.sql == "sqlite" {
				name = "file:" + dsn
			}
			db, err := sql.Open(e.sql, name)
			require.NoError(t, err)
			_, err = db.ExecContext(t.Context(), "INSERT INTO ustat_migrations (name, group_id) VALUES ('9999_from_the_future', 9)")
			require.NoError(t, err)
			require.NoError(t, db.Close())
			backend, err := open(t.Context(), dsn)
			require.NoError(t, err)
			defer func() { require.NoError(t, backend.Close()) }()
			_, err = backend.Schema.Migrate(t.Context())
			require.ErrorIs(t, err, storage.ErrSchemaNew)
			require.ErrorContains(t, err, "9999_from_the_future")
			require.ErrorIs(t, backend.Schema.Check(t.Context()), storage.ErrSchemaNew)
		})
	}
}
