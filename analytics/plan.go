package analytics

import (
	"context"
	"slices"
	"time"
)

// PlannedMove is a move that a plan names.
type PlannedMove struct {
	BucketSize
	From, To string
}

// ShardLoad is what a shard has.
type ShardLoad struct {
	Name           string
	Buckets        int
	Events, Bytes  int64
	PlannedEvents  int64 // after the moves of the plan
	PlannedBuckets int
}

// Plan is how the buckets can be spread more evenly.
type Plan struct {
	Shards []ShardLoad
	Moves  []PlannedMove
	// Unfinished are moves that were interrupted, to be gone on with first.
	Unfinished []Placement
}

// Plan returns moves that even out the numbers of events, and of buckets without any, and
// changes nothing. Each move makes the fullest shard emptier by a bucket that fits; fewest
// events move first. One statement a shard.
func (m *Mover) Plan(ctx context.Context) (Plan, error) {
	if err := m.r.Prepare(ctx); err != nil {
		return Plan{}, err
	}
	if err := m.r.load(ctx, time.Now()); err != nil {
		return Plan{}, err
	}
	p := planning{shards: map[string]*ShardLoad{}, on: map[string][]BucketSize{}}
	sizes := map[string]map[Bucket]BucketSize{}
	for _, name := range m.r.names {
		found, err := m.r.lanes[name].shard.BucketSizes(ctx)
		if err != nil {
			return Plan{}, err
		}
		sizes[name] = map[Bucket]BucketSize{}
		for _, size := range found {
			sizes[name][size.Bucket] = size
		}
		p.shards[name] = &ShardLoad{Name: name}
	}
	var plan Plan
	for b := Bucket(0); b < Buckets; b++ {
		at := m.r.directory.Placement(b)
		size := sizes[at.Shard][b]
		size.Bucket = b
		p.place(at.Shard, size)
		if at.MovingTo != "" {
			plan.Unfinished = append(plan.Unfinished, at)
		}
	}
	plan.Moves = p.moves(m.r.names)
	for _, name := range m.r.names {
		plan.Shards = append(plan.Shards, *p.shards[name])
	}
	return plan, nil
}

// planning is the buckets where they would be.
type planning struct {
	shards map[string]*ShardLoad
	on     map[string][]BucketSize
}

func (p *planning) place(shard string, size BucketSize) {
	load := p.shards[shard]
	load.Buckets++
	load.Events += size.Events
	load.Bytes += size.Bytes
	load.PlannedBuckets++
	load.PlannedEvents += size.Events
	p.on[shard] = append(p.on[shard], size)
}

// weight is what is evened out: events, and an eighth of a usual bucket for each, which will get more.
func weight(events int64, buckets int, perBucket int64) int64 {
	return 8*events + int64(buckets)*perBucket
}

// moves takes buckets from the fullest shard to the emptiest until no bucket makes their
// difference smaller.
func (p *planning) moves(names []string) (moves []PlannedMove) {
	var events int64
	for _, load := range p.shards {
		events += load.Events
	}
	perBucket := max(events/Buckets, 1)
	of := func(name string) int64 {
		return weight(p.shards[name].PlannedEvents, p.shards[name].PlannedBuckets, perBucket)
	}
	for len(moves) < Buckets {
		full := slices.MaxFunc(names, func(a, b string) int { return int(min(max(of(a)-of(b), -1), 1)) })
		empty := slices.MinFunc(names, func(a, b string) int { return int(min(max(of(a)-of(b), -1), 1)) })
		gap := of(full) - of(empty)
		best, bestWeight := -1, int64(0)
		for i, size := range p.on[full] {
			if w := weight(size.Events, 1, perBucket); 2*w <= gap && w > bestWeight {
				best, bestWeight = i, w
			}
		}
		if best < 0 {
			break
		}
		size := p.on[full][best]
		p.on[full] = slices.Delete(p.on[full], best, best+1)
		p.shards[full].PlannedEvents -= size.Events
		p.shards[full].PlannedBuckets--
		p.shards[empty].PlannedEvents += size.Events
		p.shards[empty].PlannedBuckets++
		moves = append(moves, PlannedMove{size, full, empty})
	}
	return moves
}
