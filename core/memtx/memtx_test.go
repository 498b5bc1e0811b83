package memtx_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/core/memtx"
)

// The rows of core.Tx and core.Outbox are proven by the suite of the stores: see
// examples/customstore. Here is what only this package promises.

type counts map[string]int

var day = time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)

func newCounts(most int) *memtx.DB[counts] {
	return memtx.New(memtx.Config[counts]{State: counts{}, Copy: maps.Clone[counts], MaxRows: most, WriterWait: 50 * time.Millisecond})
}

// add counts name up in a transaction.
func add(tx *memtx.Tx[counts], name string) error {
	state, err := tx.State()
	if err == nil {
		(*state)[name]++
	}
	return err
}

func state(t *testing.T, d *memtx.DB[counts]) counts {
	t.Helper()
	now, err := d.State(t.Context())
	require.NoError(t, err)
	return now
}

func event(n int) core.Event { return core.NewEvent("test", fmt.Sprint(n), core.Actor{}, day, n) }

func TestACommittedStateIsNeverChanged(t *testing.T) {
	t.Parallel()
	d := newCounts(0)
	before := state(t, d)
	err := d.Update(t.Context(), func(_ context.Context, tx *memtx.Tx[counts]) error {
		if err := add(tx, "one"); err != nil {
			return err
		}
		require.Empty(t, state(t, d), "readers do not wait and see what is committed")
		return nil
	})
	require.NoError(t, err)
	require.Empty(t, before)
	require.Equal(t, counts{"one": 1}, state(t, d))
}

func TestWritersTakeTurnsAndReadersSeeWholeStates(t *testing.T) {
	t.Parallel()
	d := newCounts(0)
	const workers, each = 8, 50
	var wg sync.WaitGroup
	errs := make(chan error, 2*workers*each)
	for range workers {
		wg.Go(func() {
			for range each {
				errs <- d.Update(context.Background(), func(_ context.Context, tx *memtx.Tx[counts]) error {
					return errors.Join(add(tx, "left"), add(tx, "right"), tx.Emit(context.Background(), event(1)))
				})
			}
		})
		wg.Go(func() {
			for range each {
				now, err := d.State(context.Background())
				if err == nil && now["left"] != now["right"] {
					err = fmt.Errorf("half a transaction: %v", now)
				}
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, counts{"left": workers * each, "right": workers * each}, state(t, d))
	pending, err := d.Pending(t.Context(), workers*each+1)
	require.NoError(t, err)
	require.Len(t, pending, workers*each)
}

func TestTheWaitForTheWriterIsBoundedAndNamesTheHolder(t *testing.T) {
	t.Parallel()
	d := newCounts(0)
	ctx := core.WithOperation(t.Context(), "books.Shelve")
	require.NoError(t, d.Update(ctx, func(context.Context, *memtx.Tx[counts]) error {
		err := d.Update(t.Context(), func(context.Context, *memtx.Tx[counts]) error { return nil })
		require.ErrorIs(t, err, core.ErrBusy)
		require.ErrorContains(t, err, "books.Shelve")
		return nil
	}))
	require.NoError(t, d.Update(ctx, func(context.Context, *memtx.Tx[counts]) error { return nil }), "it is free again")
}

func TestFailMakesTheUpdateFail(t *testing.T) {
	t.Parallel()
	d := newCounts(0)
	broken := errors.New("broken")
	require.ErrorIs(t, d.Update(t.Context(), func(_ context.Context, tx *memtx.Tx[counts]) error {
		_ = tx.Fail(broken)
		return add(tx, "lost")
	}), broken)
	require.Empty(t, state(t, d))
}

func TestRowsAreBounded(t *testing.T) {
	t.Parallel()
	const most = 5
	d := newCounts(most)
	ctx := t.Context()
	write := func(fn func(ctx context.Context, tx *memtx.Tx[counts]) error) error { return d.Update(ctx, fn) }
	ids := make([]uuid.UUID, 2*most)
	for i := range ids {
		e := event(i)
		ids[i] = e.ID
		emit := func(ctx context.Context, tx *memtx.Tx[counts]) error {
			return errors.Join(add(tx, "events"), tx.Emit(ctx, e))
		}
		if i == most {
			require.ErrorIs(t, write(emit), core.ErrUnavailable)
			require.Equal(t, counts{"events": most}, state(t, d), "nothing of the Update is kept")
			require.NoError(t, d.Done(ctx, ids[:most]...))
		}
		require.NoError(t, write(emit))
	}
	require.NoError(t, d.Done(ctx, ids...))
	n, err := d.Forget(ctx, time.Now().Add(time.Hour), 3*most)
	require.NoError(t, err)
	require.Equal(t, most, n, "of those that are done the oldest made room")

	for i := range 2 {
		for k := range most {
			key := core.IdempotencyKey{Scope: "s", Key: fmt.Sprint(i, "/", k), At: day}
			require.NoError(t, write(func(ctx context.Context, tx *memtx.Tx[counts]) error {
				_, _, err := tx.Claim(ctx, key)
				return errors.Join(err, tx.SaveAnswer(ctx, key, []byte("1")), tx.Audit(ctx, core.AuditEntry{Action: key.Key, At: day}))
			}))
		}
		require.ErrorIs(t, write(func(ctx context.Context, tx *memtx.Tx[counts]) error {
			_, _, err := tx.Claim(ctx, core.IdempotencyKey{Scope: "s", Key: "more", At: day})
			return err
		}), core.ErrUnavailable)
		require.ErrorIs(t, write(func(ctx context.Context, tx *memtx.Tx[counts]) error {
			return tx.Audit(ctx, core.AuditEntry{Action: "more", At: day})
		}), core.ErrUnavailable)
		log := d.Audited(most + 1)
		require.Len(t, log, most)
		require.Equal(t, fmt.Sprint(i, "/", 0), log[0].Action)
		d.ForgetAudited(most)
		require.NoError(t, write(func(ctx context.Context, tx *memtx.Tx[counts]) error {
			n, err := tx.ForgetKeys(ctx, day.Add(time.Hour), most)
			require.Equal(t, most, n)
			return err
		}))
	}
}

func TestAnEventIsInTheOutboxOnce(t *testing.T) {
	t.Parallel()
	d := newCounts(0)
	e := event(1)
	for i, want := range []error{nil, core.ErrConflict} {
		require.ErrorIs(t, d.Update(t.Context(), func(ctx context.Context, tx *memtx.Tx[counts]) error {
			return errors.Join(add(tx, "n"), tx.Emit(ctx, e))
		}), want, i)
	}
	require.Equal(t, counts{"n": 1}, state(t, d))
}
