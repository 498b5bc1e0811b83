// Package ustattest is for the tests of programs that embed Ustat: a platform in
// memory with a clock that the test moves, whose events and jobs run when the test
// says so and can be looked at, and a check that nothing in a storage contradicts
// itself.
//
//	p := ustattest.New(t, ustattest.WithSetup(func(p *ustat.Platform) error { return p.Subscribe(…) }))
//	course, err := p.Courses.Create(ctx, teacher, …)
//	require.NoError(t, p.Drain(ctx))
//	p.Clock.Advance(time.Hour)
//	require.NoError(t, ustattest.CheckInvariants(ctx, p.Backend))
package ustattest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts/password"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/tasks"
)

// Platform is a started platform for one test.
type Platform struct {
	*ustat.Platform
	Backend *storage.Backend
	Clock   *Clock

	log    eventLog
	queue  tasks.Queue
	runner *tasks.Runner // of Drain; nil with a queue of the test's own
}

// Option changes what New makes.
type Option func(*options)

type options struct {
	backend *storage.Backend
	config  ustat.Config
	setup   func(p *ustat.Platform) error
}

// WithBackend gives the platform a backend other than a SQLite database in memory.
// New migrates it, and closes it at the end of the test.
func WithBackend(b *storage.Backend) Option { return func(o *options) { o.backend = b } }

// WithConfig gives the platform a config. Its Clock is replaced by the platform's;
// without a Hasher it gets one that is quick and weak. Without a Queue it gets a
// tasks.Memory that only Drain works; with one of its own, jobs are worked in the
// background as the config says, and Drain fails.
func WithConfig(c ustat.Config) Option { return func(o *options) { o.config = c } }

// WithSetup has setup called before the platform is started: that is when subscribers,
// kinds of jobs and periodic work are added.
func WithSetup(setup func(p *ustat.Platform) error) Option {
	return func(o *options) { o.setup = setup }
}

// New returns a started platform, which is stopped at the end of the test. By
// default it is in memory, its jobs wait for Drain, and its passwords are hashed
// quickly and weakly. What cannot be made fails the test.
func New(t testing.TB, opts ...Option) *Platform {
	t.Helper()
	var o options
	for _, set := range opts {
		set(&o)
	}
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("ustattest: %v", err)
		}
	}
	var err error
	if o.backend == nil {
		o.backend, err = sqlite.InMemory(ctx, nil)
		must(err)
	}
	if o.config.Hasher == nil {
		o.config.Hasher, err = password.New(password.Options{Memory: 8, Passes: 1})
		must(err)
	}
	clock := NewClock(Epoch)
	o.config.Clock = clock
	drains := o.config.Queue == nil
	if drains {
		o.config.Queue, o.config.NoRelay, o.config.TaskConcurrency = tasks.NewMemory(clock), true, -1
	}
	made, err := ustat.New(o.backend, &o.config)
	must(err)
	t.Cleanup(func() {
		if err := made.Stop(ctx); err != nil {
			t.Errorf("ustattest: stop: %v", err)
		}
	})
	p := &Platform{Platform: made, Backend: o.backend, Clock: clock, queue: o.config.Queue}
	must(p.Subscribe(tasks.Subscription{Name: logName, Version: anyVersion, Handle: p.log.keep}))
	if o.setup != nil {
		must(o.setup(made))
	}
	must(made.Start(ctx))
	if drains {
		p.runner, err = tasks.NewRunner(tasks.Config{Registry: made.Tasks, Queue: p.queue, Sources: sources(o.backend), Clock: clock, Logger: o.config.Logger})
		must(err)
	}
	return p
}

// sources returns what has events in a backend.
func sources(b *storage.Backend) []tasks.Source {
	all := []tasks.Source{{Name: "accounts", Outbox: b.Accounts}, {Name: "courses", Outbox: b.Courses}, {Name: "reviews", Outbox: b.Reviews}}
	if b.Recommend != nil {
		all = append(all, tasks.Source{Name: "recommend", Outbox: b.Recommend})
	}
	if b.Reports != nil {
		all = append(all, tasks.Source{Name: "reports", Outbox: b.Reports})
	}
	return all
}

// Epoch is when the clock of a new Platform stands: a leap day.
var Epoch = time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC)

// Clock is a core.Clock that stands still until it is moved. It is safe for
// concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a Clock that stands at a time.
func NewClock(at time.Time) *Clock { return &Clock{now: core.Time(at)} }

// Now implements core.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d, which may be negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = core.Time(c.now.Add(d))
}
