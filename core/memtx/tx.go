package memtx

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ustat/ustat/core"
)

// Tx is one Update: it implements core.Tx. It is for one goroutine at a time.
type Tx[S any] struct {
	db      *DB[S]
	state   S
	done    atomic.Bool
	failed  error
	events  []core.Event
	audit   []core.AuditEntry
	keys    map[keyName]keyRow // what becomes of keys with the commit
	claimed map[keyName]bool
}

type keyName struct{ scope, key string }

type keyRow struct {
	request   [32]byte
	answer    []byte // nil until there is one
	at        time.Time
	forgotten bool
}

// State returns the copy of the state that the transaction works on, to be read and
// changed until its end. Afterwards it fails with core.ErrTxDone.
func (tx *Tx[S]) State() (*S, error) {
	if tx.done.Load() {
		return nil, core.ErrTxDone
	}
	return &tx.state, nil
}

// Fail makes the Update fail with err even if its closure returns nil, and returns err. A
// store calls it where others would meet an error of their database, which leaves the
// transaction unusable.
func (tx *Tx[S]) Fail(err error) error {
	if tx.failed == nil {
		tx.failed = err
	}
	return err
}

// Emit implements core.Tx.
func (tx *Tx[S]) Emit(_ context.Context, events ...core.Event) error {
	if tx.done.Load() {
		return core.ErrTxDone
	}
	if err := core.CheckEvents(events...); err != nil {
		return err
	}
	for _, e := range events {
		e.At, e.Payload = core.Time(e.At), bytes.Clone(e.Payload)
		tx.events = append(tx.events, e)
	}
	return nil
}

// Audit implements core.Tx.
func (tx *Tx[S]) Audit(_ context.Context, entry core.AuditEntry) error {
	if tx.done.Load() {
		return core.ErrTxDone
	}
	if err := core.CheckAudit(entry); err != nil {
		return err
	}
	tx.db.mu.Lock()
	kept := len(tx.db.audit)
	tx.db.mu.Unlock()
	if kept+len(tx.audit) >= tx.db.c.MaxRows {
		return core.ErrUnavailable.Withf("the audit log takes no more than %d entries: keep them elsewhere and forget them here", tx.db.c.MaxRows)
	}
	entry.At, entry.Detail = core.Time(entry.At), bytes.Clone(entry.Detail)
	tx.audit = append(tx.audit, entry)
	return nil
}

// key returns a key as the transaction sees it.
func (tx *Tx[S]) key(name keyName) (keyRow, bool) {
	row, changed := tx.keys[name]
	if !changed {
		row, changed = tx.db.keys[name]
	}
	return row, changed && !row.forgotten
}

// Claim implements core.Tx. A twin in another transaction is waited for by Update.
func (tx *Tx[S]) Claim(_ context.Context, k core.IdempotencyKey) (answer []byte, done bool, err error) {
	if tx.done.Load() {
		return nil, false, core.ErrTxDone
	}
	if !core.ValidText(k.Scope) || !core.ValidText(k.Key) {
		return nil, false, core.Invalid("Idempotency-Key", "text", "", k.Key, "valid UTF-8 without NUL is expected")
	}
	name := keyName{k.Scope, k.Key}
	row, there := tx.key(name)
	switch {
	case there && row.request != k.Request:
		return nil, false, core.ErrKeyReused
	case there && row.answer != nil:
		return bytes.Clone(row.answer), true, nil
	case there && tx.claimed[name]:
		return nil, false, core.ErrKeyInUse
	case !there && len(tx.db.keys)+len(tx.keys) >= tx.db.c.MaxRows:
		return nil, false, core.ErrUnavailable.Withf("no more than %d idempotency keys are kept: forget old ones", tx.db.c.MaxRows)
	case !there:
		tx.keys[name] = keyRow{request: k.Request, at: core.Time(k.At)}
	}
	tx.claimed[name] = true
	return nil, false, nil
}

// SaveAnswer implements core.Tx.
func (tx *Tx[S]) SaveAnswer(_ context.Context, k core.IdempotencyKey, answer []byte) error {
	if tx.done.Load() {
		return core.ErrTxDone
	}
	name := keyName{k.Scope, k.Key}
	row, there := tx.key(name)
	if !there || row.answer != nil || !tx.claimed[name] {
		return core.ErrFailedPrecondition.Withf("the idempotency key was not claimed in this transaction")
	}
	row.answer = bytes.Clone(answer)
	tx.keys[name] = row
	return nil
}

// ForgetKeys implements core.Tx.
func (tx *Tx[S]) ForgetKeys(_ context.Context, before time.Time, limit int) (int, error) {
	if tx.done.Load() {
		return 0, core.ErrTxDone
	}
	return tx.forget(limit, func(_ keyName, row keyRow) bool { return row.at.Before(before) }), nil
}

// ForgetScope implements core.Tx.
func (tx *Tx[S]) ForgetScope(_ context.Context, prefix string, limit int) (int, error) {
	if tx.done.Load() {
		return 0, core.ErrTxDone
	}
	return tx.forget(limit, func(name keyName, _ keyRow) bool { return strings.HasPrefix(name.scope, prefix) }), nil
}

// forget removes up to limit keys of some, the oldest first, and returns how many.
func (tx *Tx[S]) forget(limit int, some func(name keyName, row keyRow) bool) (n int) {
	type old struct {
		name keyName
		at   time.Time
	}
	var found []old
	for _, rows := range []map[keyName]keyRow{tx.db.keys, tx.keys} {
		for name := range rows {
			if row, there := tx.key(name); there && some(name, row) {
				found = append(found, old{name, row.at})
			}
		}
	}
	slices.SortFunc(found, func(a, b old) int { return a.at.Compare(b.at) })
	for _, f := range found {
		if row, there := tx.key(f.name); there && n < limit { // one that is in both maps comes twice
			row.forgotten = true
			tx.keys[f.name] = row
			n++
		}
	}
	return n
}

var _ core.Tx = (*Tx[struct{}])(nil)
