// Package ustattest is for the tests of programs that embed Ustat: a platform in
// memory with a clock that the test moves, the events that it has emitted, and a
// check that nothing in a storage contradicts itself.
//
//	p := ustattest.New(t)
//	course, err := p.Courses.Create(ctx, teacher, …)
//	p.Clock.Advance(time.Hour)
//	require.NoError(t, ustattest.CheckInvariants(ctx, p.Backend))
package ustattest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts/password"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/sqlite"
)

// Platform is a started platform for one test.
type Platform struct {
	*ustat.Platform
	Backend *storage.Backend
	Clock   *Clock
}

// Option changes what New makes.
type Option func(*options)

type options struct {
	backend *storage.Backend
	config  ustat.Config
}

// WithBackend gives the platform a backend other than a SQLite database in memory.
// New migrates it, and closes it at the end of the test.
func WithBackend(b *storage.Backend) Option { return func(o *options) { o.backend = b } }

// WithConfig gives the platform a config. Its Clock is replaced by the platform's;
// without a Hasher it gets one that is quick and weak.
func WithConfig(c ustat.Config) Option { return func(o *options) { o.config = c } }

// New returns a started platform, which is stopped at the end of the test. By
// default it is in memory, and its passwords are hashed quickly and weakly. What
// cannot be made fails the test.
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
	p, err := ustat.New(o.backend, &o.config)
	must(err)
	t.Cleanup(func() {
		if err := p.Stop(ctx); err != nil {
			t.Errorf("ustattest: stop: %v", err)
		}
	})
	must(p.Start(ctx))
	return &Platform{Platform: p, Backend: o.backend, Clock: clock}
}

// maxEvents bounds what Events reads of one store.
const maxEvents = 100_000

// Events returns what the platform has emitted and nobody has been given yet,
// oldest first, of the types that are named, or of all.
func (p *Platform) Events(t testing.TB, types ...string) []core.Event {
	t.Helper()
	var all []core.Event
	for name, store := range outboxes(p.Backend) {
		events, err := store.Pending(context.Background(), maxEvents)
		if err != nil {
			t.Fatalf("ustattest: events of %s: %v", name, err)
		}
		for _, e := range events {
			if len(types) == 0 || slices.Contains(types, e.Type) {
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b core.Event) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return all
}

// outboxes returns what has events in a backend, by name.
func outboxes(b *storage.Backend) map[string]core.Outbox {
	boxes := map[string]core.Outbox{"accounts": b.Accounts, "courses": b.Courses, "reviews": b.Reviews}
	if b.Reports != nil {
		boxes["reports"] = b.Reports
	}
	return boxes
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
