package tasks

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// Source is a store whose events are to be delivered.
type Source struct {
	Name   string // for logs: "courses"
	Outbox core.Outbox
}

const (
	// relayBlock is how many events are taken over at once.
	relayBlock = 200
	// relayPatience bounds one block.
	relayPatience = time.Minute
	// maxRelayWait is the longest wait for a store that is away.
	maxRelayWait = 5 * time.Second
)

// relay takes the events of one store over into the queue. Any number of them may
// work at one store at once: the keys of the jobs make each of them once.
type relay struct {
	source        Source
	queue         Queue
	subscriptions []Subscription
	poll          time.Duration
	log           *slog.Logger
	stats         *counters
	wake          chan struct{} // of one: a commit has left events
}

// nudge makes the relay look at once. It does not block.
func (r *relay) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run takes over what there is, again and again, until ctx ends. A store or a queue
// that is away is tried again with longer and longer waits, and logged once.
func (r *relay) run(ctx context.Context) {
	wait := r.poll
	for away := false; ; {
		err := r.drain(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if away {
				r.log.InfoContext(ctx, "events are delivered again", "store", r.source.Name)
			}
			away, wait = false, r.poll
		default:
			if !away {
				r.log.ErrorContext(ctx, "events wait: the store or the queue is away", "store", r.source.Name, "error", err)
			}
			away, wait = true, min(2*wait, maxRelayWait)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-r.wakeUnless(away):
		}
		timer.Stop()
	}
}

// wakeUnless returns what wakes the relay: nothing while the store is away.
func (r *relay) wakeUnless(away bool) <-chan struct{} {
	if away {
		return nil
	}
	return r.wake
}

// drain takes events over until there are none. A panic, of a store or a queue, is an
// error.
func (r *relay) drain(ctx context.Context) (err error) {
	defer recovered(&err)
	for {
		n, err := r.block(ctx)
		if err != nil || n < relayBlock {
			return err
		}
	}
}

// block takes over one block of events: their jobs are added, and then the events
// are done. A process that dies in between leaves both, and the keys of the jobs
// keep the next one from adding them again.
func (r *relay) block(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(core.WithOperation(ctx, "tasks.relay"), relayPatience)
	defer cancel()
	events, err := r.source.Outbox.Pending(ctx, relayBlock)
	if err != nil || len(events) == 0 {
		return 0, err
	}
	if err := fault.Hit("tasks.relay.after_pending"); err != nil {
		return 0, err
	}
	ids := make([]uuid.UUID, len(events))
	var jobs []Insert
	for i, e := range events {
		ids[i] = e.ID
		more, err := r.jobsOf(e)
		if err != nil {
			return 0, err
		}
		jobs = append(jobs, more...)
	}
	if len(jobs) > 0 {
		if err := r.queue.Insert(ctx, jobs...); err != nil {
			return 0, err
		}
	}
	if err := fault.Hit("tasks.relay.after_insert"); err != nil {
		return 0, err
	}
	if err := r.source.Outbox.Done(ctx, ids...); err != nil {
		return 0, err
	}
	r.stats.relayed.Add(int64(len(events)))
	return len(events), nil
}

// jobsOf returns the jobs that an event makes: one for each subscriber, or the one
// that it asks for.
func (r *relay) jobsOf(e core.Event) ([]Insert, error) {
	if e.Type == EventAsked {
		return []Insert{jobOf(e)}, nil
	}
	var jobs []Insert
	var args []byte
	for _, s := range r.subscriptions {
		if !s.takes(e.Type) {
			continue
		}
		if args == nil {
			var err error
			if args, err = encodeEvent(e); err != nil {
				return nil, err
			}
		}
		jobs = append(jobs, Insert{
			Kind: s.kind(), Key: e.ID.String() + "/" + s.Name, Version: e.Version, Args: args, MaxAttempts: s.MaxAttempts, Timeout: s.Timeout,
		})
	}
	return jobs, nil
}

// schedule asks for the job of each period, until ctx ends. Every process does: the
// key of the job, of which the number of the period is a part, makes it one. So
// there is no leader to be lost.
type schedule struct {
	periodic []Periodic
	queue    Queue
	clock    core.Clock
	log      *slog.Logger
	asked    map[string]int64 // the last period that was asked for, by name
}

func (s *schedule) run(ctx context.Context) {
	if len(s.periodic) == 0 {
		return
	}
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for away := false; ; {
		err := s.ask(ctx)
		if err != nil && !away && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "periodic work waits: the queue is away", "error", err)
		}
		away = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// ask asks for the jobs of the periods that have begun since it was last called. A
// panic of the queue is an error.
func (s *schedule) ask(ctx context.Context) (err error) {
	defer recovered(&err)
	now := s.clock.Now().UnixNano()
	var due []Insert
	numbers := map[string]int64{}
	for _, p := range s.periodic {
		number := now / int64(p.Every)
		if last, ok := s.asked[p.Name]; ok && last >= number {
			continue
		}
		job, err := p.insert(number)
		if err != nil {
			return err
		}
		due, numbers[p.Name] = append(due, job), number
	}
	if len(due) == 0 {
		return nil
	}
	if err := s.queue.Insert(ctx, due...); err != nil {
		return err
	}
	for name, number := range numbers {
		s.asked[name] = number
	}
	return nil
}

// background runs functions until its stop is called, which waits for them.
type background struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
}

func (b *background) start(functions ...func(ctx context.Context)) {
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(context.Background())
	for _, f := range functions {
		b.all.Go(func() { f(ctx) })
	}
}

// stop cancels the functions and waits for them until ctx ends.
func (b *background) stop(ctx context.Context) error {
	if b.cancel == nil {
		return nil
	}
	b.cancel()
	done := make(chan struct{})
	go func() {
		b.all.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("the relay has not ended: " + ctx.Err().Error())
	}
}
