package shardstore

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

// SetBucket implements analytics.ShardMover.
func (s *Store) SetBucket(ctx context.Context, b analytics.Bucket, epoch int64, state analytics.BucketState) error {
	if b < 0 || b >= analytics.Buckets {
		return core.Invalid("bucket", "range", "0-1023", "", "there is no such bucket")
	}
	return s.change(ctx, func(h *header) error {
		if have, known := h.buckets[b]; known && epoch < have.Epoch {
			return analytics.ErrMoved.Withf("bucket %d has epoch %d already", b, have.Epoch)
		}
		h.buckets[b] = bucket{Epoch: epoch, State: state}
		return nil
	})
}

// BucketState implements analytics.ShardMover.
func (s *Store) BucketState(ctx context.Context, b analytics.Bucket) (analytics.BucketState, int64, error) {
	h, err := s.read(ctx, s.db.Reading(), "")
	return h.buckets[b].State, h.buckets[b].Epoch, err
}

// eventBytes is about how much an event takes, with its share of the rollups.
const eventBytes = 250

// BucketSizes implements analytics.ShardMover.
func (s *Store) BucketSizes(ctx context.Context) ([]analytics.BucketSize, error) {
	return sqlstore.ReadAll(ctx, s.db.Reading(), "SELECT bucket, COUNT(*), CAST(SUM(events) AS BIGINT) FROM ustat_analytics_totals GROUP BY bucket ORDER BY bucket", nil,
		func(rows *sql.Rows, b *analytics.BucketSize) error {
			err := rows.Scan(&b.Bucket, &b.Keys, &b.Events)
			b.Bytes = b.Events * eventBytes
			return err
		})
}

// BucketKeys implements analytics.ShardMover.
func (s *Store) BucketKeys(ctx context.Context, b analytics.Bucket, after analytics.Key, limit int) ([]analytics.Key, error) {
	return s.bucketKeys(ctx, s.db.Reading(), b, after, limit)
}

func (s *Store) bucketKeys(ctx context.Context, at sqlstore.Session, b analytics.Bucket, after analytics.Key, limit int) ([]analytics.Key, error) {
	return sqlstore.ReadAll(ctx, at, "SELECT course_id FROM ustat_analytics_totals WHERE bucket = ? AND course_id > ? ORDER BY course_id LIMIT ?",
		[]any{int64(b), int64(after), limit}, func(rows *sql.Rows, k *analytics.Key) error { return rows.Scan(k) })
}

// CopyOut implements analytics.ShardMover.
func (s *Store) CopyOut(ctx context.Context, key analytics.Key, after *analytics.EventPosition, limit int) ([]analytics.Event, error) {
	return s.copyOut(ctx, s.db.Reading(), key, after, limit)
}

func (s *Store) copyOut(ctx context.Context, at sqlstore.Session, key analytics.Key, after *analytics.EventPosition, limit int) ([]analytics.Event, error) {
	where, args := "course_id = ?", []any{int64(key)}
	if after != nil {
		where += " AND (occurred_at, id) > (?, ?)"
		args = append(args, s.moment(after.At), s.idArgument(after.ID))
	}
	return sqlstore.ReadAll(ctx, at, selectEvents+where+" ORDER BY occurred_at, id LIMIT ?", append(args, limit), scanEvent)
}

// CopyIn implements analytics.ShardMover.
func (s *Store) CopyIn(ctx context.Context, b analytics.Bucket, epoch int64, list []analytics.Event) error {
	if err := s.partitions.prepare(ctx, list); err != nil {
		return err
	}
	return s.with(ctx, b, epoch, []analytics.BucketState{analytics.Arriving}, func(ctx context.Context, at sqlstore.Session) error {
		if len(list) == 0 {
			return nil
		}
		in := ingesting{s, at}
		// The totals are what a bucket's keys are found by.
		if _, err := in.lock(ctx, keysOf(list)); err != nil {
			return err
		}
		_, _, err := in.events(ctx, list)
		return err
	})
}

// with runs fn in a transaction in which the bucket stays in one of the states, with that
// epoch.
func (s *Store) with(ctx context.Context, b analytics.Bucket, epoch int64, states []analytics.BucketState, fn func(ctx context.Context, at sqlstore.Session) error) error {
	return s.db.Update(ctx, "analytics", func(ctx context.Context, tx *sqlstore.Tx) error {
		h, err := s.read(ctx, tx.Session(), s.db.ForShare())
		if err != nil {
			return err
		}
		if have, known := h.buckets[b]; !known || have.Epoch != epoch || !slices.Contains(states, have.State) {
			return analytics.ErrMoved.Withf("bucket %d is not this move's any more", b)
		}
		return fn(ctx, tx.Session())
	})
}

// Late implements analytics.ShardMover.
func (s *Store) Late(ctx context.Context, b analytics.Bucket, limit int) ([]analytics.Event, error) {
	names := "e." + strings.ReplaceAll(events.list(), ", ", ", e.")
	return sqlstore.ReadAll(ctx, s.db.Reading(), "SELECT "+names+` FROM ustat_analytics_late AS l JOIN ustat_analytics_events AS e
		ON e.course_id = l.course_id AND e.occurred_at = l.occurred_at AND e.id = l.id WHERE l.bucket = ? LIMIT ?`, []any{int64(b), limit}, scanEvent)
}

// ForgetLate implements analytics.ShardMover.
func (s *Store) ForgetLate(ctx context.Context, list []analytics.Event) error {
	if len(list) == 0 {
		return nil
	}
	return s.db.Update(ctx, "analytics", func(ctx context.Context, tx *sqlstore.Tx) error {
		from, args := s.identities(list)
		_, err := tx.Session().Exec(ctx, "DELETE FROM ustat_analytics_late WHERE (course_id, occurred_at, id) IN ("+from+")", args...)
		return err
	})
}

// identities returns a table of those of events.
func (s *Store) identities(list []analytics.Event) (string, []any) {
	if s.arrays {
		rows := make([][]any, len(list))
		for i := range list {
			rows[i] = []any{int64(analytics.KeyOf(list[i])), list[i].OccurredAt, [16]byte(list[i].ID)}
		}
		return "SELECT * FROM unnest(?::bigint[], ?::timestamptz[], ?::uuid[])", []any{array(integer, rows, 0), array(moment, rows, 1), array(uuids, rows, 2)}
	}
	triples := make([][3]any, len(list))
	for i := range list {
		triples[i] = [3]any{int64(analytics.KeyOf(list[i])), list[i].OccurredAt.UnixMicro(), strings.ReplaceAll(list[i].ID.String(), "-", "")}
	}
	return "SELECT value->>0, value->>1, unhex(value->>2) FROM json_each(?)", []any{jsonText(triples)}
}

func tableOf(rollup string) (*table, error) {
	for _, r := range rollups {
		if r.name == rollup {
			return r.table, nil
		}
	}
	return nil, core.Invalid("rollup", "oneof", "", rollup, "there is no such rollup")
}

// RollupsOut implements analytics.ShardMover.
func (s *Store) RollupsOut(ctx context.Context, key analytics.Key, rollup string, after []any, limit int) ([][]any, error) {
	t, err := tableOf(rollup)
	if err != nil {
		return nil, err
	}
	where, args := "course_id = ?", []any{int64(key)}
	if after != nil {
		if len(after) != len(t.columns) {
			return nil, core.Invalid("after", "row", "", "", "a row of the rollup is expected")
		}
		where += " AND (" + t.key() + ") > (" + strings.Repeat("?, ", t.keys-1) + "?)"
		args = append(args, after[:t.keys]...)
	}
	return sqlstore.ReadAll(ctx, s.db.Reading(), "SELECT "+t.list()+" FROM "+t.name+" WHERE "+where+" ORDER BY "+t.key()+" LIMIT ?", append(args, limit), t.scan)
}

// RollupsIn implements analytics.ShardMover.
func (s *Store) RollupsIn(ctx context.Context, b analytics.Bucket, epoch int64, rollup string, rows [][]any) error {
	t, err := tableOf(rollup)
	if err != nil {
		return err
	}
	return s.with(ctx, b, epoch, []analytics.BucketState{analytics.Arriving}, func(ctx context.Context, at sqlstore.Session) error {
		return t.insert(ctx, at, s.arrays, rows, t.replace())
	})
}

// DropBucket implements analytics.ShardMover. The totals go last: by them the keys are
// found.
func (s *Store) DropBucket(ctx context.Context, b analytics.Bucket, epoch int64, limit int) (more bool, err error) {
	err = s.with(ctx, b, epoch, []analytics.BucketState{analytics.Arriving, analytics.Gone}, func(ctx context.Context, at sqlstore.Session) (err error) {
		more, err = s.dropSome(ctx, at, b, limit)
		return err
	})
	return more, err
}

func (s *Store) dropSome(ctx context.Context, at sqlstore.Session, b analytics.Bucket, limit int) (more bool, err error) {
	keys, err := s.bucketKeys(ctx, at, b, -analytics.Buckets-1, 1)
	if err != nil {
		return false, err
	}
	if len(keys) == 0 {
		_, err := at.Exec(ctx, "DELETE FROM ustat_analytics_late WHERE bucket = ?", int64(b))
		return false, err
	}
	key := int64(keys[0])
	n, err := at.Exec(ctx, `DELETE FROM ustat_analytics_events WHERE course_id = ? AND (occurred_at, id) IN
		(SELECT occurred_at, id FROM ustat_analytics_events WHERE course_id = ? ORDER BY occurred_at, id LIMIT ?)`, key, key, limit)
	if err != nil || n == int64(limit) {
		return true, err
	}
	for _, r := range slices.Backward(rollups) {
		if _, err := at.Exec(ctx, "DELETE FROM "+r.table.name+" WHERE course_id = ?", key); err != nil {
			return false, err
		}
	}
	return true, nil
}
