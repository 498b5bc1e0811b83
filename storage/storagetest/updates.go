package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

// stored asserts whether a row of that name is there.
func stored(t testing.TB, b *storage.Backend, d domain, name string, want bool) {
	t.Helper()
	ctx := timeout(t)
	var got bool
	err := within(t, patience, func() (err error) {
		got, err = d.has(ctx, b, name)
		return err
	})
	require.NoError(t, err)
	if want {
		require.True(t, got, "the row %s is not there", name)
	} else {
		require.False(t, got, "the row %s was left behind", name)
	}
}

// add commits rows of these names.
func (d domain) add(t testing.TB, b *storage.Backend, names ...string) {
	t.Helper()
	require.NoError(t, d.update(timeout(t), b, func(ctx context.Context, tx rows) error { return tx.add(ctx, names...) }))
}

// everything writes a row, an event, an audit entry and an idempotency key.
func everything(ctx context.Context, tx rows, name string) error {
	key := core.IdempotencyKey{Scope: "test/1", Key: name, Request: core.RequestHash(name), At: day}
	if _, _, err := tx.Claim(ctx, key); err != nil {
		return err
	}
	return errors.Join(
		tx.add(ctx, name),
		tx.Emit(ctx, core.NewEvent("test.added", "row/"+name, core.Actor{}, day, name)),
		tx.Audit(ctx, core.AuditEntry{Action: "test.add", Subject: "row/" + name, At: day}),
		tx.SaveAnswer(ctx, key, []byte(`"`+name+`"`)),
	)
}

// nothing asserts that everything has left nothing and that the store still works.
func (s suite) nothing(t *testing.T, b *storage.Backend, d domain, name string) {
	t.Helper()
	stored(t, b, d, name, false)
	events, err := d.outbox(b).Pending(timeout(t), 10)
	require.NoError(t, err)
	require.Empty(t, events, "an event was left behind")
	if s.limits.AuditRows != nil {
		require.Zero(t, s.limits.AuditRows(t, b), "an audit entry was left behind")
	}
	err = within(t, patience, func() error {
		return d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
			key := core.IdempotencyKey{Scope: "test/1", Key: name, Request: core.RequestHash("another"), At: day}
			answer, done, err := tx.Claim(ctx, key)
			if err == nil && (done || answer != nil) {
				err = errors.New("an idempotency key was left behind")
			}
			return errors.Join(err, tx.add(ctx, "after-"+name))
		})
	})
	require.NoError(t, err, "the next Update")
	stored(t, b, d, "after-"+name, true)
}

func (s suite) updates(d, other domain) {
	s.run("Update with nil commits", func(t *testing.T, b *storage.Backend) {
		require.NoError(t, d.update(timeout(t), b, func(ctx context.Context, tx rows) error { return everything(ctx, tx, "kept") }))
		stored(t, b, d, "kept", true)
		events, err := d.outbox(b).Pending(timeout(t), 10)
		require.NoError(t, err)
		require.Len(t, events, 1)
		if s.limits.AuditRows != nil {
			require.Equal(t, 1, s.limits.AuditRows(t, b))
		}
	})
	s.run("an error rolls back everything and comes back", func(t *testing.T, b *storage.Backend) {
		err := d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
			return errors.Join(everything(ctx, tx, "lost"), errBoom)
		})
		require.ErrorIs(t, err, errBoom)
		s.nothing(t, b, d, "lost")
	})
	s.run("a panic rolls back everything and goes on", func(t *testing.T, b *storage.Backend) {
		var failed error
		require.PanicsWithValue(t, "boom", func() {
			_ = d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
				failed = everything(ctx, tx, "lost")
				panic("boom")
			})
		})
		require.NoError(t, failed)
		s.nothing(t, b, d, "lost")
	})
	s.run("runtime.Goexit rolls back everything", func(t *testing.T, b *storage.Backend) {
		ended := make(chan error, 1)
		go func() {
			var err error
			defer func() { ended <- err }()
			_ = d.update(context.Background(), b, func(ctx context.Context, tx rows) error {
				err = everything(ctx, tx, "lost")
				runtime.Goexit()
				return nil
			})
		}()
		require.NoError(t, within(t, patience, func() error { return <-ended }))
		s.nothing(t, b, d, "lost")
	})
	s.run("reads inside the Tx see the transaction and reads outside do not", func(t *testing.T, b *storage.Backend) {
		outside := timeout(t)
		err := d.update(outside, b, func(ctx context.Context, tx rows) error {
			if err := tx.add(ctx, "row"); err != nil {
				return err
			}
			inside, err := tx.has(ctx, "row")
			if err != nil || !inside {
				return fmt.Errorf("inside: %v, %w", inside, err)
			}
			seen := make(chan error, 1)
			go func() {
				found, err := d.has(outside, b, "row")
				if found {
					err = errors.New("another reader sees what is not committed")
				}
				seen <- err
			}()
			return <-seen
		})
		require.NoError(t, err)
		stored(t, b, d, "row", true)
	})
	s.run("a conflict adds none of the list and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		d.add(t, b, "taken")
		err := d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
			if err := tx.add(ctx, "new-1", "taken", "new-2"); !errors.Is(err, core.ErrConflict) {
				return fmt.Errorf("the list has a row that is taken, got: %w", err)
			}
			if err := tx.add(ctx, "twin", "twin"); !errors.Is(err, core.ErrConflict) {
				return fmt.Errorf("the list has a row twice, got: %w", err)
			}
			return everything(ctx, tx, "kept")
		})
		require.NoError(t, err)
		stored(t, b, d, "kept", true)
		for _, name := range []string{"new-1", "new-2", "twin"} {
			stored(t, b, d, name, false)
		}
	})
	s.run("an error of the driver that the closure swallows rolls back and fails Update", func(t *testing.T, b *storage.Backend) {
		var fault error
		err := d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
			if err := everything(ctx, tx, "lost"); err != nil {
				return err
			}
			fault = tx.fault(ctx)
			_ = tx.add(ctx, "lost-as-well")
			return nil
		})
		if fault == nil {
			t.Skip("the store takes what a constraint would refuse")
		}
		require.Error(t, err, "Update says that it has committed after: %v", fault)
		require.NotErrorIs(t, err, core.ErrOutcomeUnknown)
		stored(t, b, d, "lost-as-well", false)
		s.nothing(t, b, d, "lost")
	})
	s.run("a call inside a running Update that is not the Tx's fails at once with ErrNested", func(t *testing.T, b *storage.Backend) {
		calls := map[string]func(ctx context.Context) error{
			"Keys.Key": func(ctx context.Context) error {
				_, err := b.Keys.Key(ctx, "name", func() []byte { return []byte("secret") })
				return err
			},
		}
		for _, target := range []domain{d, other} {
			calls["Update of "+target.name] = func(ctx context.Context) error {
				return target.update(ctx, b, func(ctx context.Context, tx rows) error { return tx.add(ctx, "nested") })
			}
			calls["a read of "+target.name] = func(ctx context.Context) error {
				_, err := target.has(ctx, b, "nested")
				return err
			}
			calls["Pending of "+target.name] = func(ctx context.Context) error {
				_, err := target.outbox(b).Pending(ctx, 1)
				return err
			}
			calls["Done of "+target.name] = func(ctx context.Context) error {
				return target.outbox(b).Done(ctx, core.NewEvent("test", "x", core.Actor{}, day, 1).ID)
			}
		}
		for name, call := range calls {
			err := d.update(context.Background(), b, func(ctx context.Context, _ rows) error {
				ctx, cancel := context.WithTimeout(ctx, 2*soon)
				defer cancel()
				if err := within(t, soon, func() error { return call(ctx) }); !errors.Is(err, core.ErrNested) {
					return fmt.Errorf("%s: want ErrNested, got: %w", name, err)
				}
				return nil
			})
			require.NoError(t, err)
		}
		stored(t, b, d, "nested", false)
		stored(t, b, other, "nested", false)
	})
	s.run("a Tx used after its Update ended fails with ErrTxDone", func(t *testing.T, b *storage.Backend) {
		for _, end := range []error{nil, errBoom} {
			var kept rows
			var inner context.Context
			err := d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
				kept, inner = tx, ctx
				return end
			})
			require.ErrorIs(t, err, end)
			key := core.IdempotencyKey{Scope: "s", Key: "k", At: day}
			for _, ctx := range []context.Context{inner, timeout(t)} {
				require.ErrorIs(t, kept.add(ctx, "late"), core.ErrTxDone, "a write")
				_, err = kept.has(ctx, "late")
				require.ErrorIs(t, err, core.ErrTxDone, "a read")
				require.ErrorIs(t, kept.Emit(ctx, core.NewEvent("test", "x", core.Actor{}, day, 1)), core.ErrTxDone, "Emit")
				require.ErrorIs(t, kept.Audit(ctx, core.AuditEntry{Action: "a", At: day}), core.ErrTxDone, "Audit")
				_, _, err = kept.Claim(ctx, key)
				require.ErrorIs(t, err, core.ErrTxDone, "Claim")
				require.ErrorIs(t, kept.SaveAnswer(ctx, key, nil), core.ErrTxDone, "SaveAnswer")
			}
		}
		s.nothing(t, b, d, "late")
	})
	s.cancellation(d)
	s.writers(d)
}

func (s suite) cancellation(d domain) {
	s.run("a cancelled context stops a read and an Update before they begin", func(t *testing.T, b *storage.Backend) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := d.has(ctx, b, "row")
		require.Error(t, err)
		err = d.update(ctx, b, func(ctx context.Context, tx rows) error { return everything(ctx, tx, "lost") })
		require.Error(t, err)
		s.nothing(t, b, d, "lost")
	})
	s.run("a context cancelled just before the closure returns rolls back", func(t *testing.T, b *storage.Backend) {
		ctx, cancel := context.WithCancel(context.Background())
		err := d.update(ctx, b, func(ctx context.Context, tx rows) error {
			err := everything(ctx, tx, "lost")
			cancel()
			return err
		})
		require.ErrorIs(t, err, context.Canceled)
		s.nothing(t, b, d, "lost")
	})
	s.run("a cancelled context never reports failure for what was committed", func(t *testing.T, b *storage.Backend) {
		const workers = 4
		seed := random(t).Uint64()
		d.add(t, b, "warm")
		// How long an Update takes here, so that half are cancelled about its end.
		begun := time.Now()
		d.add(t, b, "measured")
		span := int64(2*time.Since(begun)) + int64(time.Millisecond)
		var wg sync.WaitGroup
		bad := make(chan error, workers)
		for w := range workers {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(w)))
				for i := range size(150, 30) {
					name := fmt.Sprintf("row-%d-%d", w, i)
					ctx, cancel := context.WithCancel(context.Background())
					// A third is cancelled by the caller right after the closure.
					racing := i%3 == 0
					timer := time.AfterFunc(time.Duration(r.Int64N(span)), cancel)
					err := d.update(ctx, b, func(ctx context.Context, tx rows) error {
						err := tx.add(ctx, name)
						if racing {
							go func() { runtime.Gosched(); cancel() }()
						}
						return err
					})
					timer.Stop()
					cancel()
					found, readErr := d.has(context.Background(), b, name)
					switch {
					case readErr != nil:
						bad <- readErr
					case err != nil && found && !errors.Is(err, core.ErrOutcomeUnknown):
						bad <- fmt.Errorf("%s is committed, but Update said: %w", name, err)
					case err == nil && !found:
						bad <- fmt.Errorf("%s is not there, but Update said that it was", name)
					default:
						continue
					}
					return
				}
			})
		}
		wg.Wait()
		close(bad)
		for err := range bad {
			require.NoError(t, err)
		}
	})
}
