package analytics

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/ustat/ustat/core"
)

// Track takes up to MaxTrack events and, in mode Durable, returns when each is on the
// disk of its shard or refused. The error is that of the first that was refused, which
// Result names all of, so nil means that everything is in. Whoever gets
// core.ErrUnavailable or core.ErrOutcomeUnknown tries again with the same events, ids and
// times included: what has been counted already is a duplicate then.
//
// Events of a shard that is away are refused at once with core.ErrUnavailable; those of
// the others are taken. With the context of a running Update it is core.ErrNested. Where the queue of a shard is full, Track waits for room until ctx
// ends.
func (r *Router) Track(ctx context.Context, mode Mode, events ...Event) (Result, error) {
	if err := core.CheckNested(ctx); err != nil {
		return Result{}, err
	}
	if len(events) > MaxTrack {
		return Result{}, core.Invalid("events", "max", strconv.Itoa(MaxTrack), strconv.Itoa(len(events)), "too many events in one call")
	}
	t := tracking{Router: r, mode: mode, events: make([]Event, len(events))}
	now := r.clock.Now()
	var open []int // events that are neither in nor refused
	for i, e := range events {
		prepared, err := Prepare(e, now)
		if err != nil {
			t.refuse(i, err)
			continue
		}
		t.events[i] = prepared
		open = append(open, i)
	}
	since := time.Time{}
	deadline := time.Now().Add(r.opt.MoveWait)
	for pause := 5 * time.Millisecond; len(open) > 0; pause = min(2*pause, 200*time.Millisecond) {
		if err := r.load(ctx, since); err != nil {
			t.refuseAll(open, err)
			break
		}
		moved := t.send(ctx, open)
		if open = moved; len(open) == 0 {
			break
		}
		if time.Now().After(deadline) || !sleep(ctx, pause) {
			t.refuseAll(open, ErrMoved.After(time.Second))
			break
		}
		since = time.Now()
	}
	return t.result, t.result.err()
}

func (res *Result) err() error {
	first := -1
	for i, refused := range res.Refused {
		if first < 0 || refused.Index < res.Refused[first].Index {
			first = i
		}
	}
	if first < 0 {
		return nil
	}
	return res.Refused[first].Err
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// tracking is one call of Track.
type tracking struct {
	*Router
	mode   Mode
	events []Event
	result Result
}

func (t *tracking) refuse(i int, err error) {
	t.result.Refused = append(t.result.Refused, Refused{i, err})
}

func (t *tracking) refuseAll(list []int, err error) {
	for _, i := range list {
		t.refuse(i, err)
	}
}

// part is the events of a call for one shard.
type part struct {
	lane    *lane
	at      []int // in the call
	request *request
	err     error
}

// send sends the events at those places to their shards, waits for the answers, and
// returns the places of those whose bucket has moved.
func (t *tracking) send(ctx context.Context, open []int) (moved []int) {
	parts := t.split(open)
	var wg sync.WaitGroup // so that a shard that is slow or full holds up no other
	for i, p := range parts {
		if i == len(parts)-1 {
			p.err = t.deliver(ctx, p)
			break
		}
		wg.Go(func() { p.err = t.deliver(ctx, p) })
	}
	wg.Wait()
	for _, p := range parts {
		switch err := p.err; {
		case errors.Is(err, ErrMoved):
			moved = append(moved, p.at...)
		case err != nil:
			t.refuseAll(p.at, err)
		case t.mode == BestEffort:
			t.result.Waiting += len(p.at)
		default:
			for _, fresh := range p.request.fresh {
				if fresh {
					t.result.Accepted++
				} else {
					t.result.Duplicates++
				}
			}
		}
	}
	return moved
}

// split sorts events by their shards, in the order in which these come first.
func (t *tracking) split(open []int) (parts []*part) {
	by := map[*lane]*part{}
	for _, i := range open {
		l, err := t.lane(KeyOf(t.events[i]))
		if err != nil {
			t.refuse(i, err)
			continue
		}
		p := by[l]
		if p == nil {
			p = &part{lane: l, request: &request{done: make(chan struct{})}}
			if t.mode == BestEffort {
				p.request.lost = func(n int, err error) { t.lost(l.name, n, err) }
			}
			by[l] = p
			parts = append(parts, p)
		}
		p.at = append(p.at, i)
		p.request.events = append(p.request.events, t.events[i])
	}
	return parts
}

func (r *Router) lost(shard string, events int, err error) {
	if r.opt.OnLost != nil {
		r.opt.OnLost(shard, events, err)
	}
}

// deliver submits a part and returns what became of it. A caller that leaves while its
// events are written does not know.
func (t *tracking) deliver(ctx context.Context, p *part) error {
	if err := p.lane.submit(ctx, p.request); err != nil || t.mode == BestEffort {
		return err
	}
	select {
	case <-p.request.done:
		return p.request.err
	case <-ctx.Done():
		return core.ErrOutcomeUnknown.Because(ctx.Err())
	}
}
