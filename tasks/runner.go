package tasks

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ustat/ustat/core"
)

// Config sets up a Runner.
type Config struct {
	Registry *Registry // needed
	Queue    Queue     // needed
	// Sources are the stores whose events are relayed. Without any, nothing is.
	Sources []Source
	// NoRelay keeps this process from relaying events and from asking for periodic jobs.
	NoRelay bool
	// Concurrency is how many jobs are worked at once, 1 to 1,000, and -1 for none: the
	// process still relays events and asks for periodic jobs. Zero means 10.
	Concurrency int
	// Poll is how often the outboxes are looked at for commits of other processes,
	// 1 ms to 1 min; those of this process wake the relay where the store implements
	// core.Notifier. Zero means 100 ms.
	Poll time.Duration
	// Grace is how long a handler may go on when its context has ended, before it is
	// abandoned: its job has failed, its goroutine goes on. 1 ms to 1 min. Zero means
	// 5 s.
	Grace time.Duration
	// Clock counts the periods. Nil means the machine's.
	Clock core.Clock
	// Logger gets what an operator should know. Nil means silence.
	Logger *slog.Logger
}

// Stats counts what a Runner has done since its Start, in this process.
type Stats struct {
	Relayed   int64 // events taken over from outboxes
	Succeeded int64 // attempts
	Failed    int64 // attempts, the last ones included
	Discarded int64 // jobs
	Abandoned int64 // handlers that ignored the end of their context
	Unknown   int64 // jobs put off because this process does not know their kind or version
}

type counters struct{ relayed, succeeded, failed, discarded, abandoned, unknown atomic.Int64 }

// Runner delivers events and works jobs, until it is stopped.
type Runner struct {
	config Config
	stats  counters

	mu      sync.Mutex
	started bool
	stopped bool
	back    background
}

// NewRunner returns a Runner. It checks its configuration, and starts nothing.
func NewRunner(c Config) (*Runner, error) {
	c.Concurrency, c.Poll, c.Grace = cmp.Or(c.Concurrency, 10), cmp.Or(c.Poll, 100*time.Millisecond), cmp.Or(c.Grace, 5*time.Second)
	c.Logger, c.Clock = cmp.Or(c.Logger, slog.New(slog.DiscardHandler)), cmp.Or[core.Clock](c.Clock, core.SystemClock{})
	switch {
	case c.Registry == nil:
		return nil, core.Invalid("Registry", "required", "", "", "a registry is needed")
	case c.Queue == nil:
		return nil, core.Invalid("Queue", "required", "", "", "a queue is needed")
	case c.Concurrency != -1 && (c.Concurrency < 1 || c.Concurrency > 1000):
		return nil, core.Invalid("Concurrency", "range", "1-1000", strconv.Itoa(c.Concurrency), "between 1 and 1,000 jobs are worked at once, or none with -1")
	case c.Poll < time.Millisecond || c.Poll > time.Minute:
		return nil, core.Invalid("Poll", "range", "1ms-1m", c.Poll.String(), "outboxes are looked at every millisecond to every minute")
	case c.Grace < time.Millisecond || c.Grace > time.Minute:
		return nil, core.Invalid("Grace", "range", "1ms-1m", c.Grace.String(), "the grace is 1 millisecond to 1 minute")
	}
	return &Runner{config: c}, nil
}

// Start begins to work jobs, to relay events and to ask for periodic jobs, and
// returns. The registry takes nothing more. Ctx counts for the start alone; Stop
// ends the work.
func (r *Runner) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started || r.stopped {
		return core.ErrFailedPrecondition.Withf("a runner is started once")
	}
	c := r.config
	c.Registry.seal()
	if c.Concurrency > 0 {
		if err := c.Queue.Start(ctx, Work{Concurrency: c.Concurrency, Do: r.attempter().do}); err != nil {
			return err
		}
	}
	r.started = true
	if c.NoRelay {
		return nil
	}
	loops := []func(context.Context){r.schedule().run}
	for _, relay := range r.relays() {
		if store, ok := relay.source.Outbox.(core.Notifier); ok {
			store.OnCommit(relay.nudge)
		}
		loops = append(loops, relay.run)
	}
	r.back.start(loops...)
	return nil
}

func (r *Runner) attempter() *attempter {
	c := r.config
	return &attempter{handlers: c.Registry.handlers, grace: c.Grace, jitter: chance, log: c.Logger, stats: &r.stats}
}

func (r *Runner) schedule() *schedule {
	c := r.config
	return &schedule{periodic: c.Registry.periodic, queue: c.Queue, clock: c.Clock, log: c.Logger, asked: map[string]int64{}}
}

func (r *Runner) relays() []*relay {
	c := r.config
	relays := make([]*relay, len(c.Sources))
	for i, source := range c.Sources {
		relays[i] = &relay{
			source: source, queue: c.Queue, subscriptions: c.Registry.subscriptions, poll: c.Poll, log: c.Logger, stats: &r.stats, wake: make(chan struct{}, 1),
		}
	}
	return relays
}

// Stop ends the relay, then the work, as Queue.Stop does. It may be called twice,
// and unstarted.
func (r *Runner) Stop(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil
	}
	r.stopped = true
	return errors.Join(r.back.stop(ctx), r.config.Queue.Stop(ctx))
}

// Stats returns the counts so far.
func (r *Runner) Stats() Stats {
	s := &r.stats
	return Stats{
		Relayed: s.relayed.Load(), Succeeded: s.succeeded.Load(), Failed: s.failed.Load(),
		Discarded: s.discarded.Load(), Abandoned: s.abandoned.Load(), Unknown: s.unknown.Load(),
	}
}
