package analytics

import (
	"context"
	"sync/atomic"

	"github.com/ustat/ustat/core"
)

// Placement is where a bucket is.
type Placement struct {
	Bucket Bucket
	Shard  string
	// Epoch grows by one each time the bucket changes its shard, from 1. Shards refuse
	// writes of an older one.
	Epoch int64
	// MovingTo is the shard that the bucket is on its way to, or empty.
	MovingTo string
}

// DirectoryStore keeps the map of buckets, in the main database. It is safe for
// concurrent use.
type DirectoryStore interface {
	// Placements returns those of all buckets, in order; none before PlaceAll.
	Placements(ctx context.Context) ([]Placement, error)
	// PlaceAll writes the first map, and returns the one that is stored: of concurrent
	// callers one wins, and a map that is there is kept.
	PlaceAll(ctx context.Context, first []Placement) ([]Placement, error)
	// Place replaces the placement of a bucket where the stored one is still was, and
	// otherwise fails with ErrPlacementChanged and changes nothing.
	Place(ctx context.Context, was, is Placement) error
}

// ErrPlacementChanged is returned where a bucket is no longer placed as it was read.
var ErrPlacementChanged = &core.Error{Kind: core.KindConflict, Code: "analytics.placement_changed", Message: "the bucket has been moved by somebody else: read the directory again"}

// Directory is the strategy whose map is stored, so that buckets can be moved while
// events are written. New ones are spread evenly over the shards that are there at the
// first Load; those added later get buckets by a move.
type Directory struct {
	store  DirectoryStore
	shards []string
	table  atomic.Pointer[[Buckets]Placement]
}

// NewDirectory returns the strategy over shards; Load is due before it is used. It fails
// with core.ErrInvalid as NewJumpHash does.
func NewDirectory(store DirectoryStore, shards ...string) (*Directory, error) {
	if store == nil {
		return nil, core.Invalid("store", "required", "", "", "a directory needs a store of its map")
	}
	return &Directory{store: store, shards: append([]string(nil), shards...)}, checkNames(shards)
}

// Load reads the map, which is made where there is none. It fails with
// core.ErrFailedPrecondition where a bucket is on a shard that is not among the ones
// given.
func (d *Directory) Load(ctx context.Context) error {
	stored, err := d.store.Placements(ctx)
	if err == nil && len(stored) == 0 {
		first := make([]Placement, Buckets)
		for i := range first {
			first[i] = Placement{Bucket: Bucket(i), Shard: d.shards[i%len(d.shards)], Epoch: 1}
		}
		stored, err = d.store.PlaceAll(ctx, first)
	}
	if err != nil {
		return err
	}
	if len(stored) != Buckets {
		return core.ErrInternal.Withf("the directory of shards has %d buckets, not %d", len(stored), Buckets)
	}
	known := map[string]bool{}
	for _, name := range d.shards {
		known[name] = true
	}
	var table [Buckets]Placement
	for i, p := range stored {
		if int(p.Bucket) != i || !known[p.Shard] {
			return core.ErrFailedPrecondition.Withf("bucket %d is on shard %q, which is not among the shards of this platform", p.Bucket, p.Shard)
		}
		table[i] = p
	}
	d.table.Store(&table)
	return nil
}

// Locate implements ShardStrategy. Before Load it returns "".
func (d *Directory) Locate(key Key) string { return d.Placement(key.Bucket()).Shard }

// Placement returns where a bucket is, as of the last Load.
func (d *Directory) Placement(b Bucket) Placement {
	if table := d.table.Load(); table != nil && b >= 0 && b < Buckets {
		return table[b]
	}
	return Placement{Bucket: b}
}
