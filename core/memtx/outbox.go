package memtx

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// outbox holds events by id, as their ids are by time, and those that are done in the
// order in which they were.
type outbox struct {
	pending []core.Event
	done    []doneEvent
}

type doneEvent struct {
	id uuid.UUID
	at time.Time
}

func compareIDs(e core.Event, id uuid.UUID) int { return bytes.Compare(e.ID[:], id[:]) }

// add puts events in, all or none.
func (o *outbox) add(events []core.Event, most int) error {
	if len(events) == 0 {
		return nil
	}
	if len(o.pending)+len(events) > most {
		return core.ErrUnavailable.Withf("the outbox has %d events that nobody has fetched, and takes no more than %d", len(o.pending), most)
	}
	all := slices.Concat(o.pending, events)
	slices.SortFunc(all, func(a, b core.Event) int { return compareIDs(a, b.ID) })
	for i := 1; i < len(all); i++ {
		if all[i].ID == all[i-1].ID {
			return core.ErrConflict.Withf("the event %s is in the outbox already", all[i].ID)
		}
	}
	o.pending = all
	return nil
}

// Pending implements core.Outbox.
func (d *DB[S]) Pending(ctx context.Context, limit int) ([]core.Event, error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	events := slices.Clone(d.outbox.pending[:min(max(limit, 0), len(d.outbox.pending))])
	for i := range events {
		events[i].Payload = bytes.Clone(events[i].Payload)
	}
	return events, nil
}

// Done implements core.Outbox.
func (d *DB[S]) Done(ctx context.Context, ids ...uuid.UUID) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	given := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		given[id] = true
	}
	now := d.c.Clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	o := &d.outbox
	o.pending = slices.DeleteFunc(o.pending, func(e core.Event) bool {
		if given[e.ID] {
			o.done = append(o.done, doneEvent{e.ID, now})
		}
		return given[e.ID]
	})
	o.done = slices.Delete(o.done, 0, max(0, len(o.done)-d.c.MaxRows))
	return nil
}

// Forget implements core.Outbox.
func (d *DB[S]) Forget(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := d.usable(ctx); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for n < min(limit, len(d.outbox.done)) && d.outbox.done[n].at.Before(before) {
		n++
	}
	d.outbox.done = slices.Delete(d.outbox.done, 0, n)
	return n, nil
}

// OnCommit implements core.Notifier.
func (d *DB[S]) OnCommit(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listeners = append(slices.Clone(d.listeners), f)
}

var (
	_ core.Outbox   = (*DB[struct{}])(nil)
	_ core.Notifier = (*DB[struct{}])(nil)
)
