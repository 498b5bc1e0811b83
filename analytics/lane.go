package analytics

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ustat/ustat/core"
)

// lane is the way to one shard. Callers leave their requests in a bounded queue; whoever
// finds nobody writing starts a goroutine that writes everything that waits, in
// transactions of many requests, and ends when nothing is left. So a transaction is as
// large as what has come during the one before, and no timer is needed.
type lane struct {
	name  string
	shard Shard
	opt   *RouterOptions
	epoch func(events []Event) map[Bucket]int64 // nil without a directory

	mu      sync.Mutex
	waiting []*request
	events  int           // that wait
	room    chan struct{} // closed when some leave
	writing bool
	closed  bool
	idle    chan struct{} // closed when nobody writes; nil while nobody has
	ready   bool          // its schema has been looked at
	down    bool          // the last call found it away
	again   time.Time     // when a down shard may be asked again
	probing bool          // somebody asks a down shard
	stats   ShardStats
}

// request is the events of one caller for one shard.
type request struct {
	events []Event
	fresh  []bool
	err    error
	done   chan struct{} // closed when fresh and err are set
	lost   func(n int, err error)
}

// submit leaves a request in the queue, and waits for room in it until ctx ends.
func (l *lane) submit(ctx context.Context, r *request) error {
	for {
		l.mu.Lock()
		if err := l.admit(); err != nil {
			l.mu.Unlock()
			return err
		}
		if l.events == 0 || l.events+len(r.events) <= l.opt.MaxWaiting {
			break
		}
		room := l.room
		l.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return core.ErrUnavailable.Withf("the queue of shard %s is full", l.name).After(l.opt.RetryAfter).Because(ctx.Err())
		}
	}
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, r)
	l.events += len(r.events)
	if !l.writing {
		l.writing = true
		l.idle = make(chan struct{})
		go l.write(l.idle)
	}
	return nil
}

// admit returns why no request is taken now. A shard that was away is asked again by one
// caller at a time, once its pause is over.
func (l *lane) admit() error {
	switch wait := time.Until(l.again); {
	case l.closed:
		return core.ErrClosed
	case l.down && (wait > 0 || l.probing):
		return l.away(max(wait, l.opt.RetryAfter/10), nil)
	case l.down:
		l.probing = true
	}
	return nil
}

func (l *lane) away(wait time.Duration, cause error) error {
	return core.ErrUnavailable.Withf("shard %s does not answer", l.name).After(wait).Because(cause)
}

// write writes what waits until nothing does.
func (l *lane) write(idle chan struct{}) {
	for {
		batch := l.take()
		if batch == nil {
			close(idle)
			return
		}
		l.ingest(batch)
		for _, r := range batch {
			if r.err != nil && r.lost != nil {
				r.lost(len(r.events), r.err)
			}
			close(r.done)
		}
	}
}

// take returns the requests of the next transaction, at least one, or nil.
func (l *lane) take() []*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, events := 0, 0
	for n < len(l.waiting) && (n == 0 || events+len(l.waiting[n].events) <= l.opt.MaxBatch) {
		events += len(l.waiting[n].events)
		n++
	}
	if n == 0 {
		l.writing = false
		return nil
	}
	batch := l.waiting[:n:n]
	if l.waiting = l.waiting[n:]; len(l.waiting) == 0 {
		l.waiting = nil // the array is the batch's
	}
	l.events -= events
	close(l.room)
	l.room = make(chan struct{})
	return batch
}

// ingest writes a batch. What a shard refuses is one caller's fault, so it is tried
// again by caller.
func (l *lane) ingest(batch []*request) {
	all := make([]Event, 0, len(batch)*len(batch[0].events))
	for _, r := range batch {
		all = append(all, r.events...)
	}
	fresh, err := l.commit(all)
	if err != nil && len(batch) > 1 && refuses(err) {
		for _, r := range batch {
			r.fresh, r.err = l.commit(r.events)
		}
		return
	}
	for _, r := range batch {
		r.err = err
		if err == nil {
			r.fresh, fresh = fresh[:len(r.events):len(r.events)], fresh[len(r.events):]
		}
	}
}

// refuses reports whether an error says something about the events, and not about the
// shard.
func refuses(err error) bool {
	switch core.KindOf(err) {
	case core.KindInvalid, core.KindConflict, core.KindFailedPrecondition:
		return true
	}
	return errors.Is(err, ErrMoved)
}

// commit is Ingest, once more where its outcome is unknown: events count once.
func (l *lane) commit(events []Event) (fresh []bool, err error) {
	for range 2 {
		err = l.call(context.Background(), l.opt.WriteTimeout, func(ctx context.Context) error {
			var epochs map[Bucket]int64
			if l.epoch != nil {
				epochs = l.epoch(events)
			}
			fresh, err = l.shard.Ingest(core.WithOperation(ctx, "analytics.Track"), events, epochs)
			return err
		})
		if !errors.Is(err, core.ErrOutcomeUnknown) {
			break
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Batches++
	if err == nil {
		l.stats.Events += int64(len(events))
	}
	return fresh, err
}

// call calls the shard with a deadline, after its schema has been looked at, and keeps
// whether it answers.
func (l *lane) call(ctx context.Context, patience time.Duration, fn func(ctx context.Context) error) error {
	timed, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := l.prepare(timed)
	if err == nil {
		err = fn(timed)
	}
	if err != nil && ctx.Err() == nil && timed.Err() != nil {
		err = l.away(l.opt.RetryAfter, err)
	}
	l.heard(ctx, err)
	return err
}

// heard keeps what the answer of a call says about the shard.
func (l *lane) heard(ctx context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probing = false
	if ctx.Err() != nil && err != nil {
		return // the caller has gone, which says nothing
	}
	l.down = err != nil && core.KindOf(err) == core.KindUnavailable && !errors.Is(err, ErrMoved) && !errors.Is(err, core.ErrBusy)
	if !l.down {
		return
	}
	l.again = time.Now().Add(l.opt.RetryAfter)
	for _, r := range l.waiting { // they fail at once too
		r.err = l.away(l.opt.RetryAfter, err)
		if r.lost != nil {
			r.lost(len(r.events), r.err)
		}
		close(r.done)
	}
	l.waiting, l.events = nil, 0
	close(l.room)
	l.room = make(chan struct{})
}

// prepare migrates or checks the schema, once.
func (l *lane) prepare(ctx context.Context) error {
	l.mu.Lock()
	ready := l.ready
	l.mu.Unlock()
	if ready {
		return nil
	}
	if l.opt.ManualMigrations {
		if err := l.shard.Check(ctx); err != nil {
			return err
		}
	} else if _, err := l.shard.Migrate(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	l.ready = true
	l.mu.Unlock()
	return nil
}

// read calls a reading method of the shard, and fails at once while it is away.
func (l *lane) read(ctx context.Context, fn func(ctx context.Context, shard Shard) error) error {
	l.mu.Lock()
	err := l.admit()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.call(ctx, l.opt.ReadTimeout, func(ctx context.Context) error { return fn(ctx, l.shard) })
}

// close lets no more in and waits until what waits is written.
func (l *lane) close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	idle := l.idle
	l.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ShardStats is what a router knows of a shard.
type ShardStats struct {
	Name            string
	Waiting         int   // events in the queue now
	Batches, Events int64 // transactions, and the events of those that succeeded
	Away            bool  // the last call did not reach it
}

func (l *lane) snapshot() ShardStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Name, s.Waiting, s.Away = l.name, l.events, l.down
	return s
}
