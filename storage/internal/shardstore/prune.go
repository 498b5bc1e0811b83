package shardstore

import (
	"context"
	"time"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

// pruneRows is how many raw events one transaction removes where they are no partitions.
const pruneRows = 5000

// Prune implements analytics.ShardWriter.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	before = core.Time(before)
	if before.After(core.SystemClock{}.Now()) {
		return core.Invalid("before", "max", "now", before.Format(time.RFC3339), "events of the future are not removed")
	}
	if err := s.change(ctx, func(h *header) error {
		if before.After(h.prunedBefore) {
			h.prunedBefore = before
		}
		return nil
	}); err != nil {
		return err
	}
	if s.partitions != nil {
		return s.partitions.drop(ctx, before)
	}
	after := analytics.Key(-analytics.Buckets - 1)
	for {
		keys, err := s.Keys(ctx, after, 1)
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := s.pruneKey(ctx, keys[0], before); err != nil {
			return err
		}
		after = keys[0]
	}
}

// pruneKey removes the events of a key, some at a time, so that others may write.
func (s *Store) pruneKey(ctx context.Context, key analytics.Key, before time.Time) error {
	for {
		var n int64
		err := s.db.Update(ctx, "analytics", func(ctx context.Context, tx *sqlstore.Tx) (err error) {
			n, err = tx.Session().Exec(ctx, `DELETE FROM ustat_analytics_events WHERE course_id = ? AND (occurred_at, id) IN
				(SELECT occurred_at, id FROM ustat_analytics_events WHERE course_id = ? AND occurred_at < ? ORDER BY occurred_at LIMIT ?)`,
				int64(key), int64(key), s.moment(before), pruneRows)
			return err
		})
		if err != nil || n < pruneRows {
			return err
		}
	}
}
