package analytics

import (
	"context"
	"errors"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/ustat/ustat/core"
)

// Mover moves buckets of a Directory between shards while events are written. It is safe
// for concurrent use: of two that move one bucket, the later one goes on, and the other
// fails with ErrPlacementChanged or ErrMoved.
//
// A move copies the raw events, catches up with those that came meanwhile, fences the
// bucket (writes wait, reads go on), copies the last ones and the rollups, compares counts
// and checksums, switches the directory, and drops the old rows when no router can read
// them any more. It may be killed anywhere: Move again, with the same shard, goes on. At
// any time one shard alone takes writes of a bucket.
type Mover struct{ r *Router }

// NewMover returns a Mover. It fails with core.ErrFailedPrecondition where the router's
// strategy is no Directory.
func NewMover(r *Router) (*Mover, error) {
	if r.directory == nil {
		return nil, core.ErrFailedPrecondition.Withf("buckets are moved in a directory, and the strategy of this platform is none")
	}
	return &Mover{r}, nil
}

// MoveStep is a step of a move.
type MoveStep string

// The steps, in their order.
const (
	StepCopy    MoveStep = "copy"
	StepCatchUp MoveStep = "catch up"
	StepFence   MoveStep = "fence"
	StepVerify  MoveStep = "verify"
	StepRollups MoveStep = "rollups"
	StepSwitch  MoveStep = "switch"
	StepDrop    MoveStep = "drop"
)

// MoveProgress is how far a move is.
type MoveProgress struct {
	Bucket Bucket
	Step   MoveStep
	Done   int64 // events copied or compared in this step
	Of     int64 // about
}

// ErrNotEqual is returned by a move whose copy is not what it was made of. The bucket stays
// where it was, and is served there.
var ErrNotEqual = &core.Error{Kind: core.KindInternal, Code: "analytics.copy_differs", Message: "the copy of the bucket differs from the original"}

// moveRows is how many rows are copied at a time.
const moveRows = 1000

// moving is one move.
type moving struct {
	*Mover
	bucket   Bucket
	from, to Shard
	was      Placement
	tell     func(MoveProgress)
	size     int64
}

// Move moves a bucket to a shard, or goes on with a move there that was interrupted. Tell is
// called now and then; nil is nobody. It fails with core.ErrInvalid for a bucket or shard
// that there is not, with ErrPlacementChanged where the bucket is on its way to another
// shard, with ErrNotEqual, and where a shard does not answer.
func (m *Mover) Move(ctx context.Context, b Bucket, to string, tell func(MoveProgress)) error {
	ctx = core.WithOperation(ctx, "analytics.Move")
	if b < 0 || b >= Buckets {
		return core.Invalid("bucket", "range", "0-1023", "", "there is no such bucket")
	}
	if m.r.lanes[to] == nil {
		return core.Invalid("shard", "oneof", "", to, "there is no such shard")
	}
	if err := m.r.Prepare(ctx); err != nil {
		return err
	}
	if err := m.r.load(ctx, time.Now()); err != nil {
		return err
	}
	was := m.r.directory.Placement(b)
	switch {
	case was.Shard == to && was.MovingTo == "":
		return m.dropElsewhere(ctx, was, tell)
	case was.MovingTo != "" && was.MovingTo != to:
		return ErrPlacementChanged.Withf("bucket %d is on its way to shard %s: go on with that, or Abort it", b, was.MovingTo)
	}
	v, err := m.claim(ctx, was, to, tell)
	if err != nil {
		return err
	}
	if err := v.run(ctx); err != nil {
		return err
	}
	return m.dropElsewhere(ctx, m.r.directory.Placement(b), tell)
}

// claim makes a bucket this move's: its epoch is one more, so that nothing of an earlier
// attempt, should it still run, is taken any more.
func (m *Mover) claim(ctx context.Context, was Placement, to string, tell func(MoveProgress)) (*moving, error) {
	mine := Placement{Bucket: was.Bucket, Shard: was.Shard, Epoch: was.Epoch + 1, MovingTo: to}
	if err := m.r.directory.store.Place(ctx, was, mine); err != nil {
		return nil, err
	}
	return &moving{Mover: m, bucket: was.Bucket, from: m.r.lanes[was.Shard].shard, to: m.r.lanes[to].shard, was: mine, tell: tell}, nil
}

// Abort ends a move that was interrupted: the bucket stays where it was, and the copy is
// removed. A move that is running fails.
func (m *Mover) Abort(ctx context.Context, b Bucket) error {
	ctx = core.WithOperation(ctx, "analytics.Abort")
	if b < 0 || b >= Buckets {
		return core.Invalid("bucket", "range", "0-1023", "", "there is no such bucket")
	}
	if err := m.r.load(ctx, time.Now()); err != nil {
		return err
	}
	was := m.r.directory.Placement(b)
	if was.MovingTo == "" {
		return core.ErrFailedPrecondition.Withf("bucket %d is not on its way", b)
	}
	if m.r.lanes[was.MovingTo] == nil {
		return core.ErrFailedPrecondition.Withf("shard %q is not among the shards of this platform", was.MovingTo)
	}
	v, err := m.claim(ctx, was, was.MovingTo, nil)
	if err != nil {
		return err
	}
	if err := v.to.SetBucket(ctx, b, v.was.Epoch, Arriving); err != nil {
		return err
	}
	if err := v.from.SetBucket(ctx, b, v.was.Epoch, Serving); err != nil {
		return err
	}
	if err := drop(ctx, v.to, b, v.was.Epoch); err != nil {
		return err
	}
	is := v.was
	is.MovingTo = ""
	return m.r.directory.store.Place(ctx, v.was, is)
}

func (v *moving) progress(step MoveStep, done int64) {
	if v.tell != nil {
		v.tell(MoveProgress{v.bucket, step, done, max(v.size, done)})
	}
}

// run does what is left of a move up to the switch.
func (v *moving) run(ctx context.Context) error {
	sizes, err := v.from.BucketSizes(ctx)
	if err != nil {
		return err
	}
	for _, size := range sizes {
		if size.Bucket == v.bucket {
			v.size = size.Events
		}
	}
	state, _, err := v.from.BucketState(ctx, v.bucket)
	if err != nil {
		return err
	}
	if err := v.to.SetBucket(ctx, v.bucket, v.was.Epoch, Arriving); err != nil {
		return err
	}
	if state != Fenced { // otherwise an earlier attempt has come that far
		if err := v.copy(ctx); err != nil {
			return err
		}
	}
	return v.finish(ctx)
}

// copy copies what is there while events come, which the old shard notes.
func (v *moving) copy(ctx context.Context) error {
	// What an earlier attempt has left at the new shard is not known to be right.
	if err := drop(ctx, v.to, v.bucket, v.was.Epoch); err != nil {
		return err
	}
	if err := v.from.SetBucket(ctx, v.bucket, v.was.Epoch, Copying); err != nil {
		return err
	}
	done := int64(0)
	err := eachEvent(ctx, v.from, v.bucket, func(page []Event) error {
		done += int64(len(page))
		v.progress(StepCopy, done)
		if err := v.to.CopyIn(ctx, v.bucket, v.was.Epoch, page); err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return v.catchUp(ctx, moveRows/10)
}

// catchUp copies late events until few are left.
func (v *moving) catchUp(ctx context.Context, few int) error {
	for done := int64(0); ; {
		page, err := v.from.Late(ctx, v.bucket, moveRows)
		if err != nil {
			return err
		}
		if err := v.to.CopyIn(ctx, v.bucket, v.was.Epoch, page); err != nil {
			return err
		}
		if err := v.from.ForgetLate(ctx, page); err != nil {
			return err
		}
		done += int64(len(page))
		v.progress(StepCatchUp, done)
		if len(page) <= few {
			return nil
		}
	}
}

// finish fences the bucket, makes the copy whole, compares it and switches.
func (v *moving) finish(ctx context.Context) error {
	v.progress(StepFence, 0)
	if err := v.from.SetBucket(ctx, v.bucket, v.was.Epoch, Fenced); err != nil {
		return err
	}
	if err := v.catchUp(ctx, 0); err != nil {
		return err
	}
	if err := v.verify(ctx); err != nil {
		if errors.Is(err, ErrNotEqual) {
			err = errors.Join(err, v.from.SetBucket(ctx, v.bucket, v.was.Epoch, Serving))
		}
		return err
	}
	if err := v.copyRollups(ctx); err != nil {
		return err
	}
	v.progress(StepSwitch, 0)
	is := Placement{Bucket: v.bucket, Shard: v.was.MovingTo, Epoch: v.was.Epoch + 1}
	if err := v.to.SetBucket(ctx, v.bucket, is.Epoch, Serving); err != nil {
		return err
	}
	if err := v.r.directory.store.Place(ctx, v.was, is); err != nil {
		return err
	}
	return v.r.load(ctx, time.Now())
}

// content is what both copies of a bucket must have alike, whatever the order of rows.
type content struct {
	events int64
	sum    uint64
}

// verify compares the raw events at both shards.
func (v *moving) verify(ctx context.Context) error {
	var contents [2]content
	for i, shard := range []Shard{v.from, v.to} {
		err := eachEvent(ctx, shard, v.bucket, func(page []Event) error {
			for j := range page {
				contents[i].events++
				contents[i].sum += hashOf(&page[j])
			}
			v.progress(StepVerify, contents[i].events)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if contents[0] != contents[1] {
		return ErrNotEqual.Withf("bucket %d has %d events at shard %s and %d at %s, with checksums %x and %x",
			v.bucket, contents[0].events, v.was.Shard, contents[1].events, v.was.MovingTo, contents[0].sum, contents[1].sum)
	}
	return nil
}

// hashOf returns a hash of all that is stored of an event.
func hashOf(e *Event) uint64 {
	var b []byte
	for _, n := range []int64{int64(KeyOf(*e)), int64(e.Type.Code()), int64(e.Lesson), int64(e.User), e.Amount.Minor, e.OccurredAt.UnixMicro(), e.ReceivedAt.UnixMicro()} {
		for shift := 0; shift < 64; shift += 8 {
			b = append(b, byte(n>>shift))
		}
	}
	b = append(b, e.ID[:]...)
	for _, text := range []string{e.Session, e.Amount.Currency, string(e.Properties)} {
		b = append(append(b, text...), 0)
	}
	return xxhash.Sum64(b)
}

// copyRollups copies the rollups of a bucket that nobody writes to.
func (v *moving) copyRollups(ctx context.Context) error {
	done := int64(0)
	return eachKey(ctx, v.from, v.bucket, func(key Key) error {
		for _, name := range RollupNames {
			var last []any
			for {
				rows, err := v.from.RollupsOut(ctx, key, name, last, moveRows)
				if err != nil {
					return err
				}
				if err := v.to.RollupsIn(ctx, v.bucket, v.was.Epoch, name, rows); err != nil {
					return err
				}
				done += int64(len(rows))
				v.progress(StepRollups, done)
				if len(rows) < moveRows {
					break
				}
				last = rows[len(rows)-1]
			}
		}
		return nil
	})
}

// dropElsewhere removes a bucket from the shards that it has left, once no router reads it
// there any more: each has its map read anew by then.
func (m *Mover) dropElsewhere(ctx context.Context, at Placement, tell func(MoveProgress)) error {
	var left []Shard
	for _, name := range m.r.names {
		shard := m.r.lanes[name].shard
		if name == at.Shard {
			continue
		}
		keys, err := shard.BucketKeys(ctx, at.Bucket, -Buckets-1, 1)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			continue
		}
		if err := shard.SetBucket(ctx, at.Bucket, at.Epoch, Gone); err != nil {
			return err
		}
		left = append(left, shard)
	}
	if len(left) == 0 {
		return nil
	}
	if tell != nil {
		tell(MoveProgress{Bucket: at.Bucket, Step: StepDrop})
	}
	if !sleep(ctx, 3*m.r.opt.LoadEvery) {
		return ctx.Err()
	}
	for _, shard := range left {
		if err := drop(ctx, shard, at.Bucket, at.Epoch); err != nil {
			return err
		}
	}
	return nil
}

// drop removes all rows of a bucket that is not served there.
func drop(ctx context.Context, shard Shard, b Bucket, epoch int64) error {
	for more := true; more; {
		var err error
		if more, err = shard.DropBucket(ctx, b, epoch, 5*moveRows); err != nil {
			return err
		}
	}
	return nil
}

// eachKey calls fn for the keys of a bucket.
func eachKey(ctx context.Context, shard Shard, b Bucket, fn func(key Key) error) error {
	for after := Key(-Buckets - 1); ; {
		keys, err := shard.BucketKeys(ctx, b, after, moveRows)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := fn(key); err != nil {
				return err
			}
		}
		if len(keys) < moveRows {
			return nil
		}
		after = keys[len(keys)-1]
	}
}

// eachEvent calls fn with the raw events of a bucket, some at a time.
func eachEvent(ctx context.Context, shard Shard, b Bucket, fn func(page []Event) error) error {
	return eachKey(ctx, shard, b, func(key Key) error {
		var after *EventPosition
		for {
			page, err := shard.CopyOut(ctx, key, after, moveRows)
			if err != nil {
				return err
			}
			if err := fn(page); err != nil {
				return err
			}
			if len(page) < moveRows {
				return nil
			}
			last := page[len(page)-1]
			after = &EventPosition{last.OccurredAt, last.ID}
		}
	})
}
