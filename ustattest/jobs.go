package ustattest

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/tasks"
)

// Drain runs all that is due by the platform's Clock, until nothing is: events are
// delivered to their subscribers, jobs are worked, one after the other, and so is what
// these set in motion, and the work of the periods that have begun. It waits for
// nothing but handlers. What is due later, such as a job that has failed, runs with a
// Drain after the clock was moved; of the periods that passed between two calls the
// last one has work, as after a stop.
//
// It fails where events and jobs set each other in motion for ever, naming their kinds
// (see tasks.DrainLimit), and with the error of a store; that a job has failed is seen
// by Recorded. It is called from one goroutine at a time, not by handlers, and fails
// with core.ErrFailedPrecondition where the test has given a Queue of its own.
func (p *Platform) Drain(ctx context.Context) error {
	if p.runner == nil {
		return core.ErrFailedPrecondition.Withf("jobs of a queue that the test has given are worked in the background")
	}
	return p.runner.Drain(ctx)
}

// Recorded returns the jobs that were made, whatever has become of them, oldest first,
// of the kinds that are named, or of all: the kind of a job that brings events to a
// subscriber is "events." and its name. Each has its Args or, by Event, its event, its
// State, and the attempts and failures so far. The work of Cleanup removes old ones.
func (p *Platform) Recorded(t testing.TB, kinds ...string) []tasks.Job {
	t.Helper()
	const page = 1000
	var all []tasks.Job
	for q := (tasks.JobQuery{Limit: page}); ; {
		jobs, err := p.queue.List(context.Background(), q)
		if err != nil {
			t.Fatalf("ustattest: jobs: %v", err)
		}
		for _, job := range jobs {
			if q.Before = job.ID; job.Kind != logKind && (len(kinds) == 0 || slices.Contains(kinds, job.Kind)) {
				all = append(all, job)
			}
		}
		if len(jobs) < page {
			slices.Reverse(all)
			return all
		}
	}
}

// maxEvents bounds what Events reads of one store, and what the log holds.
const maxEvents = 100_000

// Events returns what the platform has emitted, delivered or not, oldest first, of the
// types that are named, or of all. A job that was asked for by tasks.Ask is an event
// of the type tasks.EventAsked until it is a job, by Drain.
func (p *Platform) Events(t testing.TB, types ...string) []core.Event {
	t.Helper()
	all := map[string]core.Event{}
	for _, source := range sources(p.Backend) {
		events, err := source.Outbox.Pending(context.Background(), maxEvents)
		if err != nil {
			t.Fatalf("ustattest: events of %s: %v", source.Name, err)
		}
		for _, e := range events {
			all[e.ID.String()] = e
		}
	}
	p.log.addTo(all)
	var named []core.Event
	for _, e := range all {
		if len(types) == 0 || slices.Contains(types, e.Type) {
			named = append(named, e)
		}
	}
	slices.SortFunc(named, func(a, b core.Event) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return named
}

// The subscriber that logs events.
const (
	logName    = "ustattest.log"
	logKind    = "events." + logName
	anyVersion = math.MaxInt32
)

// eventLog keeps the events that were delivered, each once.
type eventLog struct {
	mu   sync.Mutex
	seen map[string]core.Event
}

func (l *eventLog) keep(_ context.Context, e core.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.seen == nil:
		l.seen = map[string]core.Event{}
	case len(l.seen) == maxEvents:
		return tasks.Discard(errors.New("the log of a test holds 100,000 events: it is full"))
	}
	l.seen[e.ID.String()] = e
	return nil
}

func (l *eventLog) addTo(events map[string]core.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.Copy(events, l.seen)
}
