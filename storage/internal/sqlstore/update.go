package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// update runs fn in one transaction of the store with that name, again when the
// database asks for it. It is the one place where transactions begin and end.
func (d *DB) update(ctx context.Context, store string, fn func(ctx context.Context, tx *Tx) error) error {
	if err := core.CheckNested(ctx); err != nil {
		return err
	}
	if d.closed.Load() {
		return core.ErrClosed
	}
	if d.joined != nil {
		return d.updateJoined(ctx, store, fn)
	}
	deadline := time.Now().Add(d.opt.RetryFor)
	for attempt := 0; ; attempt++ {
		err := d.updateOnce(ctx, store, fn)
		if !errors.Is(err, core.ErrRetry) || time.Now().After(deadline) || !pause(ctx, attempt) {
			return err
		}
	}
}

func (d *DB) updateOnce(ctx context.Context, store string, fn func(ctx context.Context, tx *Tx) error) error {
	release, err := d.takeWriter(ctx)
	if err != nil {
		return err
	}
	defer release()
	tx := &Tx{session: session{db: d}, store: store}
	tx.session.tx = tx
	defer func() { d.prepare(context.WithoutCancel(ctx), tx.unprepared) }()
	if err := fault.Hit("sqlstore.update.before_begin"); err != nil {
		return err
	}

	// ctx cancels the wait for a connection and BEGIN. Once that has answered the
	// transaction lives on detached, so that a cancelled caller cannot make
	// database/sql roll back under a COMMIT that is on its way.
	detached, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	attached := context.AfterFunc(ctx, cancel)
	sqlTx, err := d.writer.BeginTx(detached, nil)
	attached()
	if errors.Is(err, driver.ErrBadConn) && ctx.Err() == nil { // one that another caller broke off, and which was handed on
		return core.ErrRetry.Because(err)
	}
	if err != nil {
		return d.translate(ctx, err)
	}

	tx.conn = sqlTx
	committing := false
	defer func() { // an error, a panic and runtime.Goexit all end here
		tx.done.Store(true)
		if !committing {
			_ = sqlTx.Rollback() // the connection is dropped when this fails
		}
	}()
	if err := fault.Hit("sqlstore.update.after_begin"); err != nil {
		return err
	}
	if err := tx.run(ctx, fn); err != nil {
		return err
	}
	if err := fault.Hit("sqlstore.update.after_events"); err != nil {
		return err
	}
	tx.done.Store(true)
	committing = true
	if err := d.commit(ctx, sqlTx, cancel); err != nil {
		return err
	}
	if len(tx.events) > 0 {
		d.listeners.tell(store)
	}
	return nil
}

// atomic implements Backend.Atomic. What the joined stores emit inside fn is not
// seen here, so every listener is told.
func (d *DB) atomic(ctx context.Context, fn func(tx *sql.Tx) error) error {
	err := d.update(ctx, "atomic", func(_ context.Context, tx *Tx) error {
		err := fn(tx.conn.(*sql.Tx))
		if err != nil && d.dialect.Classify(err) == Retry { // of a statement of the caller's own
			return core.ErrRetry.Because(err)
		}
		return err
	})
	if err == nil {
		d.listeners.tell("")
	}
	return err
}

// commit ends the transaction. Neither the caller's ctx nor its deadline counts
// any more; the commit has one of its own.
func (d *DB) commit(ctx context.Context, tx *sql.Tx, cancel context.CancelFunc) error {
	if err := ctx.Err(); err != nil {
		_ = tx.Rollback()
		return err
	}
	if err := fault.Hit("sqlstore.update.before_commit"); err != nil {
		_ = tx.Rollback()
		return err
	}
	timer := time.AfterFunc(d.opt.CommitTimeout, cancel)
	defer timer.Stop()
	err := tx.Commit()
	if err == nil {
		err = fault.Hit("sqlstore.update.after_commit")
	}
	if err == nil {
		return nil
	}
	switch d.dialect.Classify(err) {
	case Retry:
		return core.ErrRetry.Because(err)
	case RolledBack, BadRow, Duplicate:
		return core.ErrConflict.Withf("the transaction was rolled back").Because(err)
	}
	return core.ErrOutcomeUnknown.Because(err)
}

// run calls the closure, then writes the events that it emitted.
func (tx *Tx) run(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	inner := core.EnterUpdate(ctx)
	if err := fn(inner, tx); err != nil {
		if tx.failed != nil && errors.Is(tx.failed, core.ErrRetry) {
			return tx.failed
		}
		return err
	}
	if tx.failed != nil {
		return tx.failed
	}
	if err := fault.Hit("sqlstore.update.after_closure"); err != nil {
		return err
	}
	return tx.flushEvents(inner)
}

// updateJoined runs fn inside the host's transaction, as a savepoint.
func (d *DB) updateJoined(ctx context.Context, store string, fn func(ctx context.Context, tx *Tx) error) (err error) {
	tx := &Tx{session: session{db: d}, conn: d.joined, store: store}
	tx.session.tx = tx
	if _, err := tx.rawExec(ctx, "SAVEPOINT ustat_update"); err != nil {
		return err
	}
	kept := false
	defer func() {
		tx.done.Store(true)
		if !kept {
			// The host's context may have ended; its transaction must stay usable.
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.opt.CommitTimeout)
			defer cancel()
			_, _ = d.joined.ExecContext(clean, "ROLLBACK TO SAVEPOINT ustat_update")
			_, _ = d.joined.ExecContext(clean, "RELEASE SAVEPOINT ustat_update")
		}
	}()
	if err := tx.run(ctx, fn); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := d.joined.ExecContext(context.WithoutCancel(ctx), "RELEASE SAVEPOINT ustat_update"); err != nil {
		return d.translate(ctx, err)
	}
	kept = true
	return nil
}

// takeWriter waits for the turn to write, where writers take turns.
func (d *DB) takeWriter(ctx context.Context) (release func(), err error) {
	if d.gate == nil {
		return func() {}, nil
	}
	timer := time.NewTimer(d.opt.WriterWait)
	defer timer.Stop()
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	select {
	case d.gate <- struct{}{}:
		d.holder.Store(core.Operation(ctx))
		return d.leaveGate, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		holder, _ := d.holder.Load().(string)
		return nil, core.ErrBusy.Withf("the database's writer is held by %s for longer than %s", holder, d.opt.WriterWait)
	}
}

// Writers of this process that come one right after the other would keep every other
// connection out, of the queue or of another process: SQLite lets who waits only look
// now and then. So they leave the file alone for gapLength each gapEvery.
const (
	gapEvery  = 12 * time.Millisecond
	gapLength = 2 * time.Millisecond
)

// leaveGate lets the next writer of this process in.
func (d *DB) leaveGate() {
	now := time.Now()
	if last := d.lastGap.Load(); d.waiting.Load() == 0 || now.UnixNano()-last > int64(time.Second) {
		d.lastGap.Store(now.UnixNano()) // a pause has been or is about to be
	} else if now.UnixNano()-last > int64(gapEvery) {
		time.Sleep(gapLength)
		d.lastGap.Store(time.Now().UnixNano())
	}
	<-d.gate
}

// atomically undoes what fn wrote when it fails, and leaves the Tx usable.
func (tx *Tx) atomically(ctx context.Context, fn func() error) error {
	if _, err := tx.rawExec(ctx, "SAVEPOINT ustat_list"); err != nil {
		return err
	}
	if err := fn(); err != nil {
		if tx.failed != nil {
			return err
		}
		if _, undoErr := tx.rawExec(ctx, "ROLLBACK TO SAVEPOINT ustat_list"); undoErr != nil {
			return undoErr
		}
		if _, undoErr := tx.rawExec(ctx, "RELEASE SAVEPOINT ustat_list"); undoErr != nil {
			return undoErr
		}
		return err
	}
	_, err := tx.rawExec(ctx, "RELEASE SAVEPOINT ustat_list")
	return err
}

// insert adds rows, without some of their columns, by one statement a block and reads
// what it returns into dest. A row that meets a unique key makes it fail with nothing
// written and ok false.
func insert[R, D any](ctx context.Context, tx *Tx, table string, rows []R, returning string, without ...string) (dest []D, ok bool, err error) {
	if len(rows) == 0 {
		return nil, true, nil
	}
	errDuplicate := errors.New("a row met a unique key")
	write := func() error {
		for start := 0; start < len(rows); start += blockRows {
			block := rows[start:min(start+blockRows, len(rows))]
			got, err := insertBlock[R, D](ctx, tx, table, block, returning, without)
			if err != nil {
				return fmt.Errorf("insert into %s: %w", table, err)
			}
			if len(got) < len(block) {
				return errDuplicate
			}
			dest = append(dest, got...)
		}
		return nil
	}
	if len(rows) == 1 { // what was refused wrote nothing
		err = write()
	} else {
		err = tx.atomically(ctx, write)
	}
	if errors.Is(err, errDuplicate) {
		return nil, false, nil
	}
	return dest, err == nil, err
}

// insertBlock adds rows by one statement, but for those that meet a unique key, and
// returns what it says of the others.
func insertBlock[R, D any](ctx context.Context, tx *Tx, table string, rows []R, returning string, without []string) (got []D, err error) {
	if len(rows) == 1 {
		if text, args, ok := tx.db.insertText(table, rows[0], without, " ON "+doNothing+" RETURNING "+returning); ok {
			return got, tx.keptScan(ctx, &got, text, args...)
		}
	}
	conn, err := tx.session.conn(ctx)
	if err != nil {
		return nil, err
	}
	q := tx.db.bun.NewInsert().Conn(conn).Model(&rows).ModelTableExpr(table).On(doNothing).Returning(returning)
	if len(without) > 0 {
		q.ExcludeColumn(without...)
	}
	if err := tx.scan(ctx, q, &got); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	return got, nil
}

// addRows adds rows by one statement a block, which ends in conflict, such as CONFLICT DO
// NOTHING, and returns how many it wrote.
func addRows[R any](ctx context.Context, tx *Tx, rows []R, conflict string) (added int, err error) {
	for block := range slices.Chunk(rows, blockRows) {
		n, err := addBlock(ctx, tx, block, conflict)
		if err != nil {
			return 0, err
		}
		added += int(n)
	}
	return added, nil
}

func addBlock[R any](ctx context.Context, tx *Tx, rows []R, conflict string) (int64, error) {
	conn, err := tx.session.conn(ctx)
	if err != nil {
		return 0, err
	}
	if len(rows) == 1 {
		table, end := string(tx.db.bun.Table(reflect.TypeFor[R]()).SQLName), ""
		if conflict != "" {
			end = " ON " + conflict
		}
		if text, args, ok := tx.db.insertText(table, rows[0], nil, end); ok {
			return tx.keptExec(ctx, text, args...)
		}
	}
	q := tx.db.bun.NewInsert().Conn(conn).Model(&rows).Returning("NULL")
	if conflict != "" {
		q.On(conflict)
	}
	return tx.exec(ctx, q)
}

// doNothing leaves out the rows that meet a unique key.
const doNothing = "CONFLICT DO NOTHING"

const blockRows = 500

var _ bun.IConn = (*sql.Tx)(nil)
