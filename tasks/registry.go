package tasks

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ustat/ustat/core"
)

// Kind is a kind of job whose arguments are an A, which JSON can hold.
//
//	var mail = tasks.Kind[Letter]{Name: "mail.send", MaxAttempts: 8}
type Kind[A any] struct {
	Name string // "mail.send": 1 to 100 bytes, unique in a platform
	// Version is of the shape of A, from 1. A job of a newer version waits for a
	// process that knows it. Zero means 1.
	Version int
	// MaxAttempts is how often a job is tried, 1 to 100. Zero means DefaultMaxAttempts.
	MaxAttempts int
	// Timeout is how long an attempt may take, 1 ms to 24 h. Zero means DefaultTimeout.
	Timeout time.Duration
	// Backoff is the wait after the first failure, 1 ms to 1 h; each further one
	// doubles it, up to an hour, and up to a tenth is added by chance. Zero means 1 s.
	Backoff time.Duration
}

// Subscription is a subscriber to events.
type Subscription struct {
	// Name tells subscribers apart, for ever: 1 to 80 bytes. A subscriber with a new
	// name gets the events from then on.
	Name string
	// Types are the events it gets: "courses.published". Nil means all.
	Types []string
	// Version is the newest version of payloads that it understands. A newer event
	// waits for a process that does. Zero means 1.
	Version int
	// MaxAttempts, Timeout and Backoff are as in Kind.
	MaxAttempts int
	Timeout     time.Duration
	Backoff     time.Duration
	// Handle takes an event, at least once, in no order, and twice at once in the
	// worst case: what it does must be the same for an ID that it has seen. Its errors
	// are as those of a job's handler: see Register.
	Handle func(ctx context.Context, event core.Event) error
}

func (s Subscription) takes(typ string) bool { return s.Types == nil || slices.Contains(s.Types, typ) }

// kind is the kind of job that brings events to the subscriber.
func (s Subscription) kind() string { return eventsKind + s.Name }

// eventsKind begins the kinds of jobs that bring events.
const eventsKind = "events."

// Periodic is work that is done once in each period.
type Periodic struct {
	Name string // "ustat.cleanup": 1 to 100 bytes, unique among kinds
	// Every is the length of a period, 1 s to 24 h. Periods are counted from the year
	// 1970 in UTC, so all processes agree on them, and the period's job is asked for as
	// soon as one of them is up in it.
	Every time.Duration
	// MaxAttempts is how often the work of one period is tried. Zero means 3.
	MaxAttempts int
	// Timeout is as in Kind.
	Timeout time.Duration
	// Do does the work of the period that began then, at least once: its effect is the
	// same when it comes again, as after the death of a process.
	Do func(ctx context.Context, period time.Time) error
}

// handler works the jobs of a kind.
type handler struct {
	version int
	backoff time.Duration
	run     func(ctx context.Context, job Job) error
}

// Registry holds what there is to do: kinds of jobs, subscribers and periodic work.
// It is filled before a Runner is started, from any goroutine, and refuses more
// then.
type Registry struct {
	mu            sync.Mutex
	sealed        bool
	handlers      map[string]handler
	subscriptions []Subscription
	periodic      []Periodic
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{handlers: map[string]handler{}} }

// Register says who works the jobs of a kind. The handler may be called on many
// goroutines, and more than once for a job, which its Key tells. An error makes the
// job be tried again, up to Kind.MaxAttempts; Later postpones it and Discard gives
// it up. Arguments that are no A are discarded. Register fails with core.ErrInvalid
// for a kind out of its bounds, and with core.ErrConflict for one that is there.
func Register[A any](r *Registry, kind Kind[A], handle func(ctx context.Context, args A, job Job) error) error {
	if handle == nil {
		return core.Invalid("handle", "required", "", "", "a kind of job needs a handler")
	}
	insert, err := kind.insert("key", nil)
	if err != nil {
		return err
	}
	backoff, err := checkBackoff(kind.Backoff)
	if err != nil {
		return err
	}
	return r.add(kind.Name, handler{version: insert.Version, backoff: backoff, run: func(ctx context.Context, job Job) error {
		var args A
		if err := json.Unmarshal(job.Args, &args); err != nil {
			return Discard(err)
		}
		return handle(ctx, args, job)
	}}, func() {})
}

// insert returns a job of the kind with defaults.
func (k Kind[A]) insert(key string, args json.RawMessage) (Insert, error) {
	return Insert{Kind: k.Name, Key: key, Version: k.Version, Args: args, MaxAttempts: k.MaxAttempts, Timeout: k.Timeout}.WithDefaults()
}

func checkBackoff(d time.Duration) (time.Duration, error) {
	if d == 0 {
		d = time.Second
	}
	if d < time.Millisecond || d > time.Hour {
		return d, core.Invalid("Backoff", "range", "1ms-1h", d.String(), "the first wait is 1 millisecond to 1 hour")
	}
	return d, nil
}

// Subscribe adds a subscriber. It fails with core.ErrInvalid for one out of its
// bounds, and with core.ErrConflict for a name that is taken.
func (r *Registry) Subscribe(s Subscription) error {
	s.Version = cmp.Or(s.Version, 1)
	switch {
	case s.Handle == nil:
		return core.Invalid("Handle", "required", "", "", "a subscriber needs a handler")
	case s.Name == "" || len(s.Name) > 80:
		return core.Invalid("Name", "length", "1-80", s.Name, "the name of a subscriber is 1 to 80 bytes")
	}
	insert, err := Insert{Kind: s.kind(), Key: "key", Version: s.Version, MaxAttempts: s.MaxAttempts, Timeout: s.Timeout}.WithDefaults()
	if err != nil {
		return err
	}
	s.MaxAttempts, s.Timeout = insert.MaxAttempts, insert.Timeout
	backoff, err := checkBackoff(s.Backoff)
	if err != nil {
		return err
	}
	s.Types = slices.Clone(s.Types)
	return r.add(s.kind(), handler{version: s.Version, backoff: backoff, run: func(ctx context.Context, job Job) error {
		event, err := decodeEvent(job.Args)
		if err != nil {
			return Discard(err)
		}
		return s.Handle(ctx, event)
	}}, func() { r.subscriptions = append(r.subscriptions, s) })
}

// Every adds periodic work. It fails with core.ErrInvalid for one out of its bounds,
// and with core.ErrConflict for a name that is taken.
func (r *Registry) Every(p Periodic) error {
	p.MaxAttempts = cmp.Or(p.MaxAttempts, 3)
	if p.Do == nil {
		return core.Invalid("Do", "required", "", "", "periodic work needs a function")
	}
	if p.Every < time.Second || p.Every > 24*time.Hour {
		return core.Invalid("Every", "range", "1s-24h", p.Every.String(), "a period is 1 second to 24 hours")
	}
	if _, err := p.insert(0); err != nil {
		return err
	}
	return r.add(p.Name, handler{version: 1, backoff: time.Second, run: func(ctx context.Context, job Job) error {
		var period time.Time
		if err := json.Unmarshal(job.Args, &period); err != nil {
			return Discard(err)
		}
		return p.Do(ctx, period)
	}},
		func() { r.periodic = append(r.periodic, p) })
}

// insert returns the job of a period.
func (p Periodic) insert(number int64) (Insert, error) {
	key := p.Name + "/" + p.Every.String() + "/" + strconv.FormatInt(number, 10)
	begin, err := json.Marshal(time.Unix(0, number*int64(p.Every)).UTC())
	if err != nil {
		return Insert{}, err
	}
	return Insert{Kind: p.Name, Key: key, Args: begin, MaxAttempts: p.MaxAttempts, Timeout: p.Timeout}.WithDefaults()
}

func (r *Registry) add(name string, h handler, also func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sealed {
		return core.ErrFailedPrecondition.Withf("%s cannot be added: tasks are running already", name)
	}
	if _, taken := r.handlers[name]; taken {
		return core.ErrConflict.Withf("there is a kind of job %q already", name)
	}
	r.handlers[name] = h
	also()
	return nil
}

// Empty reports whether nothing was added.
func (r *Registry) Empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.handlers) == 0
}

// seal ends the adding, so that the fields can be read without a lock.
func (r *Registry) seal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealed = true
}
