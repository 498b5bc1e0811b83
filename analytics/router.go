package analytics

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ustat/ustat/core"
)

// MaxTrack is how many events one call of Track takes.
const MaxTrack = 1000

// RouterOptions are the bounds of a Router. Zero fields get their defaults.
type RouterOptions struct {
	// MaxWaiting is how many events wait for a shard at most; callers wait for room. From
	// 1,000. Zero means 20,000.
	MaxWaiting int
	// MaxBatch is how many events one transaction has at most, 1 to 20,000. Zero means
	// 5,000.
	MaxBatch int
	// WriteTimeout is how long a shard has for a transaction, and ReadTimeout for an
	// answer, before it is taken to be away. Zero means 10 s.
	WriteTimeout, ReadTimeout time.Duration
	// RetryAfter is how long calls for a shard that is away fail at once, before one asks
	// it again. Zero means 1 s.
	RetryAfter time.Duration
	// MoveWait is how long Track waits for a bucket that is about to move. Zero means 10 s.
	MoveWait time.Duration
	// LoadEvery is how old the map of a Directory becomes at most, 10 ms to 1 min. Zero
	// means 2 s. What is moved is dropped at its old shard three times as long after.
	LoadEvery time.Duration
	// ManualMigrations makes a shard whose schema is behind fail instead of migrating it.
	ManualMigrations bool
	// OnLost is told of events that were to be kept by BestEffort and are lost. Nil means
	// nobody is.
	OnLost func(shard string, events int, err error)
}

func (o *RouterOptions) setDefaults() error {
	o.MaxWaiting, o.MaxBatch = cmp.Or(o.MaxWaiting, 20_000), cmp.Or(o.MaxBatch, 5000)
	for _, d := range []*time.Duration{&o.WriteTimeout, &o.ReadTimeout, &o.MoveWait} {
		*d = cmp.Or(*d, 10*time.Second)
	}
	o.RetryAfter, o.LoadEvery = cmp.Or(o.RetryAfter, time.Second), cmp.Or(o.LoadEvery, 2*time.Second)
	switch {
	case o.MaxWaiting < MaxTrack:
		return core.Invalid("MaxWaiting", "min", strconv.Itoa(MaxTrack), strconv.Itoa(o.MaxWaiting), "the queue has room for one call at least")
	case o.MaxBatch < 1 || o.MaxBatch > 20_000:
		return core.Invalid("MaxBatch", "range", "1-20000", strconv.Itoa(o.MaxBatch), "1 to 20,000 events are written together")
	case o.LoadEvery < 10*time.Millisecond || o.LoadEvery > time.Minute:
		return core.Invalid("LoadEvery", "range", "10ms-1m", o.LoadEvery.String(), "10 ms to 1 minute are expected")
	case min(o.WriteTimeout, o.ReadTimeout, o.MoveWait, o.RetryAfter) < 0:
		return core.Invalid("timeouts", "min", "0", "", "times are positive")
	}
	return nil
}

// Router sends events to their shards and asks them. It holds no rule about who may; see
// Service. It is safe for concurrent use.
//
// A shard that is away fails only the calls that need it, at once, with
// core.ErrUnavailable and a time after which to try again.
type Router struct {
	lanes     map[string]*lane
	names     []string // in order
	strategy  ShardStrategy
	directory *Directory // the strategy, where it is one
	clock     core.Clock
	opt       RouterOptions
	age       chan struct{} // held by who loads the directory
	loaded    time.Time     // when it was loaded last; guarded by age
}

// NewRouter returns a Router over shards by name. Nothing is asked of them; a Directory
// is loaded when it is needed first. It fails with core.ErrInvalid for options out of
// their bounds and where there is no shard or no strategy.
func NewRouter(shards map[string]Shard, strategy ShardStrategy, clock core.Clock, opt RouterOptions) (*Router, error) {
	if err := opt.setDefaults(); err != nil {
		return nil, err
	}
	r := &Router{lanes: map[string]*lane{}, names: slices.Sorted(maps.Keys(shards)), strategy: strategy, clock: clock, opt: opt, age: make(chan struct{}, 1)}
	if err := checkNames(r.names); err != nil {
		return nil, err
	}
	if strategy == nil {
		return nil, core.Invalid("strategy", "required", "", "", "a strategy says where events are")
	}
	if r.clock == nil {
		r.clock = core.SystemClock{}
	}
	r.directory, _ = strategy.(*Directory)
	for name, shard := range shards {
		if shard == nil {
			return nil, core.Invalid("shards["+name+"]", "required", "", "", "a shard is expected")
		}
		l := &lane{name: name, shard: shard, opt: &r.opt, room: make(chan struct{})}
		if r.directory != nil {
			l.epoch = r.epochs
		}
		r.lanes[name] = l
	}
	return r, nil
}

// Names returns the names of the shards, in order.
func (r *Router) Names() []string { return slices.Clone(r.names) }

// Stats returns what the router knows of its shards, by name.
func (r *Router) Stats() []ShardStats {
	stats := make([]ShardStats, len(r.names))
	for i, name := range r.names {
		stats[i] = r.lanes[name].snapshot()
	}
	return stats
}

// Prepare migrates the shards that answer, or checks their schemas, and returns what
// does not fit. Those that are away are looked at when they are back.
func (r *Router) Prepare(ctx context.Context) error {
	errs := make([]error, len(r.names))
	r.each(ctx, r.names, func(ctx context.Context, i int, l *lane) error {
		return l.call(ctx, time.Minute, func(context.Context) error { return nil })
	}, errs)
	for i, err := range errs {
		if core.KindOf(err) == core.KindUnavailable {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}

// Close lets no more events in, and waits until those that wait are written or ctx ends.
// It closes no shard.
func (r *Router) Close(ctx context.Context) error {
	var errs []error
	for _, name := range r.names {
		errs = append(errs, r.lanes[name].close(ctx))
	}
	return errors.Join(errs...)
}

// load reads the map of the directory where it is older than LoadEvery, or than since.
func (r *Router) load(ctx context.Context, since time.Time) error {
	if r.directory == nil {
		return nil
	}
	select {
	case r.age <- struct{}{}:
		defer func() { <-r.age }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if time.Since(r.loaded) < r.opt.LoadEvery && r.loaded.After(since) {
		return nil
	}
	began := time.Now()
	if err := r.directory.Load(ctx); err != nil {
		return err
	}
	r.loaded = began
	return nil
}

// epochs returns those of the buckets of events.
func (r *Router) epochs(events []Event) map[Bucket]int64 {
	epochs := map[Bucket]int64{}
	for i := range events {
		b := KeyOf(events[i]).Bucket()
		epochs[b] = r.directory.Placement(b).Epoch
	}
	return epochs
}

// lane returns the way to the shard of a key.
func (r *Router) lane(key Key) (*lane, error) {
	name := r.strategy.Locate(key)
	if l := r.lanes[name]; l != nil {
		return l, nil
	}
	return nil, core.ErrFailedPrecondition.Withf("the strategy names shard %q, which this platform does not have", name)
}

// each calls fn for the shards with those names at once, and sets their errors.
func (r *Router) each(ctx context.Context, names []string, fn func(ctx context.Context, i int, l *lane) error, errs []error) {
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { errs[i] = fn(ctx, i, r.lanes[name]) })
	}
	wg.Wait()
}
