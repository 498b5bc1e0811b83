package storagetest_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/storage/storagetest"
)

func openSQLiteShard(t *testing.T) analytics.Shard {
	t.Helper()
	shard, err := sqlite.OpenShard(t.Context(), filepath.Join(t.TempDir(), "shard.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, shard.Close()) })
	_, err = shard.Migrate(t.Context())
	require.NoError(t, err)
	return shard
}

func openPostgresShard(t *testing.T) analytics.Shard {
	t.Helper()
	shard, err := postgres.OpenShard(pgtest.Template(t, "ustat-shard", migratedShard), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, shard.Close()) })
	return shard
}

func migratedShard(dsn string) error {
	shard, err := postgres.OpenShard(dsn, nil)
	if err != nil {
		return err
	}
	defer shard.Close()
	_, err = shard.Migrate(context.Background())
	return err
}

func TestASQLiteShardConforms(t *testing.T) {
	t.Parallel()
	storagetest.RunShard(t, openSQLiteShard)
}

func TestAPostgreSQLShardConforms(t *testing.T) {
	t.Parallel()
	pgtest.Source(t)
	storagetest.RunShard(t, openPostgresShard)
}

// TestTheShardBesideAMainDatabaseConforms runs the cases on a shard in a main database.
func TestTheShardBesideAMainDatabaseConforms(t *testing.T) {
	t.Parallel()
	storagetest.RunShard(t, func(t *testing.T) analytics.Shard {
		b := openSQLite(t, new(side))
		_, err := b.Analytics.Migrate(t.Context())
		require.NoError(t, err)
		return b.Analytics
	})
}

func TestDirectoriesConform(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		storagetest.RunDirectory(t, func(t *testing.T) *storage.Backend { return openSQLite(t, new(side)) }, storagetest.Limits{})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		pgtest.Source(t)
		storagetest.RunDirectory(t, func(t *testing.T) *storage.Backend {
			b, err := postgres.Open(t.Context(), pgtest.Template(t, "ustat", migrated), nil)
			require.NoError(t, err)
			t.Cleanup(func() { _ = b.Close() })
			return b
		}, storagetest.Limits{})
	})
}
