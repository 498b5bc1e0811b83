package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
)

// Tx is one transaction: what every domain's Tx embeds.
type Tx struct {
	session
	conn   bun.IConn
	store  string // whose outbox rows it writes
	done   atomic.Bool
	failed error // the first driver's error; it sticks
	events []core.Event
	// unprepared holds the texts of statements that are worth keeping.
	unprepared []string
	// claimed holds the scopes and keys that this Tx has claimed.
	claimed map[[2]string]bool
}

type outboxRow struct {
	bun.BaseModel `bun:"table:ustat_outbox"`
	ID            uuid.UUID   `bun:"id,type:uuid"`
	Store         string      `bun:"store"`
	Type          string      `bun:"type"`
	Version       int         `bun:"version"`
	Subject       string      `bun:"subject"`
	ActorID       core.UserID `bun:"actor_id"`
	At            time.Time   `bun:"at"`
	Payload       string      `bun:"payload"`
}

// Emit implements core.Tx.
func (tx *Tx) Emit(ctx context.Context, events ...core.Event) error {
	if _, err := tx.session.conn(ctx); err != nil {
		return err
	}
	if err := core.CheckEvents(events...); err != nil {
		return err
	}
	tx.events = append(tx.events, events...)
	return nil
}

// flushEvents writes what was emitted by one statement, just before COMMIT.
func (tx *Tx) flushEvents(ctx context.Context) error {
	if len(tx.events) == 0 {
		return nil
	}
	rows := make([]outboxRow, len(tx.events))
	for i, e := range tx.events {
		rows[i] = outboxRow{
			ID: e.ID, Store: tx.store, Type: e.Type, Version: e.Version, Subject: e.Subject,
			ActorID: e.Actor, At: core.Time(e.At), Payload: string(e.Payload),
		}
	}
	_, err := addRows(ctx, tx, rows, "")
	return err
}

// Audit implements core.Tx.
func (tx *Tx) Audit(ctx context.Context, e core.AuditEntry) error {
	if err := core.CheckAudit(e); err != nil {
		return err
	}
	var detail any
	if len(e.Detail) > 0 {
		detail = string(e.Detail)
	}
	_, err := tx.rawExec(ctx, "INSERT INTO ustat_audit (at, actor_id, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
		core.Time(e.At), e.Actor, e.Action, e.Subject, detail)
	return err
}

// Claim implements core.Tx. On PostgreSQL the INSERT waits for a twin that has the
// key in an open transaction; on SQLite there is no such twin.
func (tx *Tx) Claim(ctx context.Context, k core.IdempotencyKey) ([]byte, bool, error) {
	if err := checkText(1, func(int) []string { return []string{k.Scope, k.Key} }); err != nil {
		return nil, false, err
	}
	n, err := tx.rawExec(ctx, "INSERT INTO ustat_idempotency (scope, key, request, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		k.Scope, k.Key, k.Request[:], core.Time(k.At))
	if err != nil {
		return nil, false, err
	}
	if n == 1 {
		tx.claim(k)
		return nil, false, nil
	}
	var row struct {
		Request []byte
		Answer  []byte
	}
	if err := tx.rawScan(ctx, &row, "SELECT request, answer FROM ustat_idempotency WHERE scope = ? AND key = ?", k.Scope, k.Key); err != nil {
		return nil, false, err
	}
	switch {
	case !bytes.Equal(row.Request, k.Request[:]):
		return nil, false, core.ErrKeyReused
	case row.Answer != nil:
		return row.Answer, true, nil
	case !tx.claim(k):
		return nil, false, core.ErrKeyInUse
	}
	return nil, false, nil // one that was committed without an answer
}

// claim notes that the Tx has the key and reports whether it had not before.
func (tx *Tx) claim(k core.IdempotencyKey) bool {
	name := [2]string{k.Scope, k.Key}
	if tx.claimed[name] {
		return false
	}
	if tx.claimed == nil {
		tx.claimed = map[[2]string]bool{}
	}
	tx.claimed[name] = true
	return true
}

// SaveAnswer implements core.Tx.
func (tx *Tx) SaveAnswer(ctx context.Context, k core.IdempotencyKey, answer []byte) error {
	n, err := tx.rawExec(ctx, "UPDATE ustat_idempotency SET answer = ? WHERE scope = ? AND key = ? AND answer IS NULL", answer, k.Scope, k.Key)
	if err == nil && n == 0 {
		return core.ErrFailedPrecondition.Withf("the idempotency key was not claimed in this transaction")
	}
	return err
}

// ForgetKeys implements core.Tx.
func (tx *Tx) ForgetKeys(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := tx.rawExec(ctx, "DELETE FROM ustat_idempotency WHERE (scope, key) IN (SELECT scope, key FROM ustat_idempotency WHERE created_at < ? ORDER BY created_at LIMIT ?)",
		core.Time(before), limit)
	return int(n), err
}

// ForgetScope implements core.Tx. Scopes are kept in the order of their bytes, in which
// nothing that begins with prefix comes behind the last of the characters.
func (tx *Tx) ForgetScope(ctx context.Context, prefix string, limit int) (int, error) {
	n, err := tx.rawExec(ctx, "DELETE FROM ustat_idempotency WHERE (scope, key) IN (SELECT scope, key FROM ustat_idempotency WHERE scope >= ? AND scope < ? ORDER BY scope, key LIMIT ?)",
		prefix, prefix+string(unicode.MaxRune), limit)
	return int(n), err
}

// outbox implements core.Outbox for the store of that name.
type outbox struct {
	session
	store string
}

// OnCommit implements core.Notifier.
func (o outbox) OnCommit(f func()) { o.db.listeners.add(o.store, f) }

// listeners are told of commits that left events, by the store's name.
type listeners struct {
	mu    sync.RWMutex
	calls map[string][]func()
}

func (l *listeners) add(store string, f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[store] = append(l.calls[store], f)
}

// tell calls the listeners of a store, or all of them for "".
func (l *listeners) tell(store string) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for name, calls := range l.calls {
		if store != "" && store != name {
			continue
		}
		for _, f := range calls {
			f()
		}
	}
}

// Pending implements core.Outbox.
func (o outbox) Pending(ctx context.Context, limit int) ([]core.Event, error) {
	var rows []outboxRow
	err := o.rawScan(ctx, &rows, "SELECT id, store, type, version, subject, actor_id, at, payload FROM ustat_outbox WHERE store = ? AND done_at IS NULL ORDER BY id LIMIT ?", o.store, limit)
	if err != nil {
		return nil, err
	}
	events := make([]core.Event, len(rows))
	for i, r := range rows {
		events[i] = core.Event{ID: r.ID, Type: r.Type, Version: r.Version, Subject: r.Subject, Actor: r.ActorID, At: r.At.UTC(), Payload: []byte(r.Payload)}
	}
	return events, nil
}

// Done implements core.Outbox.
func (o outbox) Done(ctx context.Context, ids ...uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	return o.db.update(ctx, o.store, func(ctx context.Context, tx *Tx) error {
		_, err := tx.rawExec(ctx, "UPDATE ustat_outbox SET done_at = ? WHERE store = ? AND done_at IS NULL AND id IN (?)",
			o.db.opt.Now(), o.store, bun.List(ids))
		return err
	})
}

// Forget implements core.Outbox.
func (o outbox) Forget(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	err = o.db.update(ctx, o.store, func(ctx context.Context, tx *Tx) error {
		n, err := tx.rawExec(ctx, "DELETE FROM ustat_outbox WHERE id IN (SELECT id FROM ustat_outbox WHERE store = ? AND done_at < ? ORDER BY done_at LIMIT ?)",
			o.store, core.Time(before), limit)
		removed = int(n)
		return err
	})
	return removed, err
}

// keys implements storage.Keys.
type keys struct{ db *DB }

// Key implements storage.Keys.
func (k keys) Key(ctx context.Context, name string, fresh func() []byte) ([]byte, error) {
	read := func(s session) ([]byte, error) {
		var secret []byte
		err := s.rawScan(ctx, &secret, "SELECT secret FROM ustat_keys WHERE name = ?", name)
		return secret, err
	}
	secret, err := read(session{db: k.db})
	if !errors.Is(err, sql.ErrNoRows) {
		return secret, err
	}
	err = k.db.update(ctx, "keys", func(ctx context.Context, tx *Tx) error {
		if _, err := tx.rawExec(ctx, "INSERT INTO ustat_keys (name, secret, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			name, fresh(), k.db.opt.Now()); err != nil {
			return err
		}
		var err error
		secret, err = read(tx.session)
		return err
	})
	return secret, err
}
