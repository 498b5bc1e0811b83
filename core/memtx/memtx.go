// Package memtx is for the author of a store that has no transactions of its own. It
// keeps the state of one store in memory, with the rows of core.Tx and core.Outbox
// beside it, so that a Store needs nothing but its own reads and writes:
//
//	type store struct{ *memtx.DB[shelf] }
//
//	func (s store) Update(ctx context.Context, fn func(ctx context.Context, tx books.Tx) error) error {
//		return s.DB.Update(ctx, func(ctx context.Context, t *memtx.Tx[shelf]) error { return fn(ctx, tx{t}) })
//	}
//
// A state that is committed is never changed: Update works on a copy, which takes the
// place of the old one at its end or is dropped. So readers wait for nobody, and what an
// Update costs grows with what Copy copies: it is for small states. Nothing outlives the
// process, events that are not delivered and idempotency keys among it.
package memtx

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ustat/ustat/core"
)

// Config is what a DB is made of.
type Config[S any] struct {
	// State is what is there at first.
	State S
	// Copy returns a state that can be changed without changing the one it is given. Maps
	// and slices of rows that are replaced whole are copied by maps.Clone and
	// slices.Clone. It is needed.
	Copy func(S) S
	// Clock says when events were done. Nil means core.SystemClock.
	Clock core.Clock
	// WriterWait bounds the wait for the one writer. Zero means 10 s.
	WriterWait time.Duration
	// MaxRows bounds the events that are pending, those that are done, the idempotency
	// keys and the entries of the audit log, each. Zero means 100,000. Of events that are
	// done the oldest make room; any other row too many is core.ErrUnavailable.
	MaxRows int
}

// DB is the state of one store and its outbox: it implements core.Outbox and
// core.Notifier. It is safe for concurrent use.
type DB[S any] struct {
	c      Config[S]
	state  atomic.Pointer[S]
	closed atomic.Bool
	gate   chan struct{} // the one writer
	holder atomic.Value  // the operation that holds the gate: string

	// The rest is written by the writer, and by Done and Forget.
	mu        sync.Mutex
	outbox    outbox
	audit     []core.AuditEntry
	listeners []func()
	keys      map[keyName]keyRow // of the writer alone
}

// New returns a DB. Without Copy it panics.
func New[S any](c Config[S]) *DB[S] {
	if c.Copy == nil {
		panic("memtx: Config.Copy is needed")
	}
	if c.Clock == nil {
		c.Clock = core.SystemClock{}
	}
	if c.WriterWait == 0 {
		c.WriterWait = 10 * time.Second
	}
	if c.MaxRows == 0 {
		c.MaxRows = 100_000
	}
	d := &DB[S]{c: c, gate: make(chan struct{}, 1), keys: map[keyName]keyRow{}}
	d.state.Store(&c.State)
	return d
}

// Close makes every later use fail with core.ErrClosed. It never fails.
func (d *DB[S]) Close() error {
	d.closed.Store(true)
	return nil
}

// State returns what is committed, for reads outside an Update; nobody changes it. It
// fails with core.ErrNested, core.ErrClosed or the error of ctx.
func (d *DB[S]) State(ctx context.Context) (S, error) {
	if err := d.usable(ctx); err != nil {
		var none S
		return none, err
	}
	return *d.state.Load(), nil
}

func (d *DB[S]) usable(ctx context.Context) error {
	if err := core.CheckNested(ctx); err != nil {
		return err
	}
	if d.closed.Load() {
		return core.ErrClosed
	}
	return ctx.Err()
}

// Update runs fn on a copy of the state, one Update at a time, and once: nil commits; an
// error, a panic, runtime.Goexit or the end of ctx drops it. It fails with core.ErrNested,
// core.ErrClosed, core.ErrBusy where the writer could not be had in time, and with what
// Tx.Fail was given.
func (d *DB[S]) Update(ctx context.Context, fn func(ctx context.Context, tx *Tx[S]) error) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	if err := d.takeWriter(ctx); err != nil {
		return err
	}
	defer func() { <-d.gate }()
	tx := &Tx[S]{db: d, state: d.c.Copy(*d.state.Load()), keys: map[keyName]keyRow{}, claimed: map[keyName]bool{}}
	defer tx.done.Store(true)
	if err := fn(core.EnterUpdate(ctx), tx); err != nil {
		return err
	}
	tx.done.Store(true)
	if err := errors.Join(tx.failed, ctx.Err()); err != nil {
		return err
	}
	return d.commit(tx)
}

func (d *DB[S]) takeWriter(ctx context.Context) error {
	timer := time.NewTimer(d.c.WriterWait)
	defer timer.Stop()
	select {
	case d.gate <- struct{}{}:
		d.holder.Store(core.Operation(ctx))
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		holder, _ := d.holder.Load().(string)
		return core.ErrBusy.Withf("the store's writer is held by %s for longer than %s", holder, d.c.WriterWait)
	}
}

// commit puts what tx has written in the place of what was there, or nothing of it.
func (d *DB[S]) commit(tx *Tx[S]) error {
	d.mu.Lock()
	err := d.outbox.add(tx.events, d.c.MaxRows)
	if err == nil {
		d.audit = append(d.audit, tx.audit...)
		for name, row := range tx.keys {
			if row.forgotten {
				delete(d.keys, name)
			} else {
				d.keys[name] = row
			}
		}
		d.state.Store(&tx.state)
	}
	listeners := d.listeners
	d.mu.Unlock()
	if err != nil || len(tx.events) == 0 {
		return err
	}
	for _, f := range listeners {
		f()
	}
	return nil
}

// Audited returns up to limit entries of the audit log, the oldest first.
func (d *DB[S]) Audited(limit int) []core.AuditEntry {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]core.AuditEntry{}, d.audit[:min(max(limit, 0), len(d.audit))]...)
}

// ForgetAudited removes the oldest n entries of the audit log, once they are kept
// elsewhere.
func (d *DB[S]) ForgetAudited(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.audit = append([]core.AuditEntry{}, d.audit[min(max(n, 0), len(d.audit)):]...)
}
