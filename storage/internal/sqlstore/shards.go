package sqlstore

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
)

// shards implements analytics.DirectoryStore.
type shards struct{ db *DB }

// placementRow is what PlaceAll writes.
type placementRow struct {
	bun.BaseModel `bun:"table:ustat_shard_buckets"`
	Bucket        int64  `bun:"bucket"`
	Shard         string `bun:"shard"`
	Epoch         int64  `bun:"epoch"`
	MovingTo      string `bun:"moving_to"`
}

// Placements implements analytics.DirectoryStore.
func (s shards) Placements(ctx context.Context) ([]analytics.Placement, error) {
	return placements(ctx, session{db: s.db})
}

func placements(ctx context.Context, s session) ([]analytics.Placement, error) {
	return readAll(ctx, s, "SELECT bucket, shard, epoch, moving_to FROM ustat_shard_buckets ORDER BY bucket", nil,
		func(rows *sql.Rows, p *analytics.Placement) error {
			return rows.Scan(&p.Bucket, &p.Shard, &p.Epoch, &p.MovingTo)
		})
}

// PlaceAll implements analytics.DirectoryStore.
func (s shards) PlaceAll(ctx context.Context, first []analytics.Placement) (stored []analytics.Placement, err error) {
	rows := make([]placementRow, len(first))
	for i, p := range first {
		if !core.ValidText(p.Shard) || !core.ValidText(p.MovingTo) {
			return nil, core.Invalid("shard", "text", "", "", "valid UTF-8 without NUL is expected")
		}
		rows[i] = placementRow{Bucket: int64(p.Bucket), Shard: p.Shard, Epoch: p.Epoch, MovingTo: p.MovingTo}
	}
	err = s.db.update(ctx, "shards", func(ctx context.Context, tx *Tx) error {
		// The first row is what concurrent callers meet at, so that they wait for each
		// other before they write anything else.
		if _, _, err := insert[placementRow, int64](ctx, tx, "ustat_shard_buckets", rows[:min(1, len(rows))], "bucket"); err != nil {
			return err
		}
		if stored, err = placements(ctx, tx.session); err != nil || len(stored) != 1 {
			return err
		}
		if _, _, err := insert[placementRow, int64](ctx, tx, "ustat_shard_buckets", rows[1:], "bucket"); err != nil {
			return err
		}
		stored, err = placements(ctx, tx.session)
		return err
	})
	return stored, err
}

// Place implements analytics.DirectoryStore.
func (s shards) Place(ctx context.Context, was, is analytics.Placement) error {
	if !core.ValidText(is.Shard) || !core.ValidText(is.MovingTo) {
		return core.Invalid("shard", "text", "", "", "valid UTF-8 without NUL is expected")
	}
	return s.db.update(ctx, "shards", func(ctx context.Context, tx *Tx) error {
		n, err := tx.rawExec(ctx, "UPDATE ustat_shard_buckets SET shard = ?, epoch = ?, moving_to = ? WHERE bucket = ? AND shard = ? AND epoch = ? AND moving_to = ?",
			is.Shard, is.Epoch, is.MovingTo, int64(was.Bucket), was.Shard, was.Epoch, was.MovingTo)
		if err == nil && n == 0 {
			err = analytics.ErrPlacementChanged
		}
		return err
	})
}

var _ analytics.DirectoryStore = shards{}
