// Package shardstore implements the store of a shard of analytics on SQL, for both
// engines. The adapters sqlite and postgres open the databases.
package shardstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

// MigrationsTable is where the marks of a shard's migrations are.
const MigrationsTable = "ustat_analytics_migrations"

// Store implements analytics.Shard.
type Store struct {
	db         *sqlstore.DB
	arrays     bool // PostgreSQL: columns as parameters, times as such, months as partitions
	schema     storage.Schema
	close      func() error
	partitions *partitions // nil where events are one table

	mu     sync.Mutex
	header header // as it was read last
}

// New returns the store of a database with the migrations of a shard. Close is what its
// Close does; nil is nothing.
func New(db *sqlstore.DB, closeDB func() error) *Store {
	s := &Store{db: db, arrays: db.Arrays(), schema: db.Schema(), close: closeDB}
	if s.arrays {
		s.partitions = &partitions{db: db, known: map[int]bool{}}
	}
	return s
}

// Migrate implements analytics.Shard.
func (s *Store) Migrate(ctx context.Context) ([]string, error) { return s.schema.Migrate(ctx) }

// Check implements analytics.Shard.
func (s *Store) Check(ctx context.Context) error { return s.schema.Check(ctx) }

// Ping implements analytics.Shard.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// Close implements analytics.Shard.
func (s *Store) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// header is the one row that writers look at first.
type header struct {
	version      int64
	prunedBefore time.Time // zero where nothing has been removed
	buckets      map[analytics.Bucket]bucket
}

// bucket is what a shard knows of one that is or was moved.
type bucket struct {
	Epoch int64                 `json:"epoch"`
	State analytics.BucketState `json:"state"`
}

// read returns the header, and takes it for the transaction as lock says. Its buckets are
// only read where they have changed.
func (s *Store) read(ctx context.Context, at sqlstore.Session, lock string) (header, error) {
	s.mu.Lock()
	have := s.header
	s.mu.Unlock()
	found, err := sqlstore.ReadAll(ctx, at,
		"SELECT version, pruned_before, CASE WHEN version = ? THEN '' ELSE buckets END FROM ustat_analytics_shard WHERE one = 1"+lock, []any{have.version},
		func(rows *sql.Rows, h *header) error {
			var pruned int64
			var buckets string
			if err := rows.Scan(&h.version, &pruned, &buckets); err != nil {
				return err
			}
			h.prunedBefore, h.buckets = fromMicros(pruned), have.buckets
			if buckets == "" {
				return nil
			}
			h.buckets = nil
			return json.Unmarshal([]byte(buckets), &h.buckets)
		})
	if err != nil {
		return header{}, err
	}
	if len(found) != 1 {
		return header{}, core.ErrInternal.Withf("the shard has no header")
	}
	s.mu.Lock()
	if found[0].version > s.header.version {
		s.header = found[0]
	}
	s.mu.Unlock()
	return found[0], nil
}

// change changes the header. Who writes events at the time is waited for.
func (s *Store) change(ctx context.Context, fn func(h *header) error) error {
	return s.db.Update(ctx, "analytics", func(ctx context.Context, tx *sqlstore.Tx) error {
		h, err := s.read(ctx, tx.Session(), s.db.ForUpdate())
		if err != nil {
			return err
		}
		changed := header{h.version + 1, h.prunedBefore, map[analytics.Bucket]bucket{}}
		for b, state := range h.buckets {
			changed.buckets[b] = state
		}
		if err := fn(&changed); err != nil {
			return err
		}
		buckets, err := json.Marshal(changed.buckets)
		if err != nil {
			return core.ErrInternal.Because(err)
		}
		_, err = tx.Session().Exec(ctx, "UPDATE ustat_analytics_shard SET version = ?, pruned_before = ?, buckets = ? WHERE one = 1",
			changed.version, micros(changed.prunedBefore), string(buckets))
		return err
	})
}

// micros returns a time as a number, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// moment returns a time of an event as the engine keeps it.
func (s *Store) moment(t time.Time) any {
	if s.arrays {
		return t
	}
	return t.UnixMicro()
}

// id returns the id of an event as the driver takes it.
func (s *Store) id(id uuid.UUID) any {
	if s.arrays {
		return [16]byte(id)
	}
	return id[:]
}

// scannedTime reads a time of an event.
type scannedTime struct{ time.Time }

// Scan implements sql.Scanner.
func (t *scannedTime) Scan(value any) error {
	switch v := value.(type) {
	case time.Time:
		t.Time = v.UTC()
	case int64:
		t.Time = time.UnixMicro(v).UTC()
	default:
		return core.ErrInternal.Withf("a time is stored as %T", value)
	}
	return nil
}

var _ analytics.Shard = (*Store)(nil)
