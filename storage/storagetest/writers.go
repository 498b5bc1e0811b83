package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

func (s suite) writers(d domain) {
	s.run("concurrent writers all commit", func(t *testing.T, b *storage.Backend) {
		const workers = 8
		each := size(25, 5)
		var wg sync.WaitGroup
		errs := make([]error, workers)
		for w := range workers {
			wg.Go(func() {
				for i := range each {
					name := fmt.Sprintf("row-%d-%d", w, i)
					errs[w] = errors.Join(errs[w], d.update(context.Background(), b, func(ctx context.Context, tx rows) error {
						found, err := tx.has(ctx, name)
						if err != nil || found {
							return fmt.Errorf("found %v: %w", found, err)
						}
						return tx.add(ctx, name)
					}))
				}
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		for w := range workers {
			for i := range each {
				stored(t, b, d, fmt.Sprintf("row-%d-%d", w, i), true)
			}
		}
	})
	s.run("of concurrent writers of one name a single one wins", func(t *testing.T, b *storage.Backend) {
		const workers = 8
		errs := make([]error, workers)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				errs[w] = d.update(context.Background(), b, func(ctx context.Context, tx rows) error { return tx.add(ctx, "seat") })
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			require.ErrorIs(t, err, core.ErrConflict)
		}
		require.Equal(t, 1, won)
	})
	if !s.limits.SingleWriter {
		s.run("two writing transactions can be open at once", func(t *testing.T, b *storage.Backend) {
			var wg sync.WaitGroup
			errs := make([]error, 2)
			arrived := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
			var once [2]sync.Once
			for w := range errs {
				wg.Go(func() {
					errs[w] = d.update(context.Background(), b, func(ctx context.Context, tx rows) error {
						err := tx.add(ctx, fmt.Sprintf("row-%d", w))
						once[w].Do(func() { close(arrived[w]) })
						select {
						case <-arrived[1-w]:
							return err
						case <-time.After(patience):
							return errors.New("the other writer never came in")
						}
					})
				})
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs...))
		})
	}
	s.run("use after Close fails with ErrClosed", func(t *testing.T, b *storage.Backend) {
		d.add(t, b, "row")
		var kept rows
		require.NoError(t, d.update(timeout(t), b, func(_ context.Context, tx rows) error { kept = tx; return nil }))
		require.NoError(t, b.Close())
		calls := map[string]func(ctx context.Context) error{
			"a read": func(ctx context.Context) error { _, err := d.has(ctx, b, "row"); return err },
			"Update": func(ctx context.Context) error {
				return d.update(ctx, b, func(context.Context, rows) error { return nil })
			},
			"Pending": func(ctx context.Context) error { _, err := d.outbox(b).Pending(ctx, 1); return err },
			"Done": func(ctx context.Context) error {
				return d.outbox(b).Done(ctx, core.NewEvent("test", "x", core.Actor{}, day, 1).ID)
			},
			"Ping": b.Ping,
		}
		for name, call := range calls {
			err := within(t, soon, func() error { return call(timeout(t)) })
			require.ErrorIs(t, err, core.ErrClosed, name)
		}
		require.Error(t, kept.add(timeout(t), "late"))
	})
}
