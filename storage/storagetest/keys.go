package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/storage"
)

func (s suite) keys() {
	s.run("a secret is kept by its name, and fresh is not kept again", func(t *testing.T, b *storage.Backend) {
		secret := []byte("\x00\xff 'any' bytes \x00")
		key := func(name string, fresh []byte) []byte {
			got, err := b.Keys.Key(timeout(t), name, func() []byte { return fresh })
			require.NoError(t, err)
			return got
		}
		require.Equal(t, secret, key("one", secret))
		require.Equal(t, secret, key("one", []byte("another")))
		require.Equal(t, []byte("another"), key("two", []byte("another")))
		require.Equal(t, secret, key("one", nil))
	})
	s.run("of concurrent callers one wins and all get its secret", func(t *testing.T, b *storage.Backend) {
		for round := range size(10, 3) {
			const callers = 12
			got, errs := make([]string, callers), make([]error, callers)
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					secret, err := b.Keys.Key(context.Background(), fmt.Sprint("key-", round), func() []byte { return fmt.Append(nil, "secret-", i) })
					got[i], errs[i] = string(secret), err
				})
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs...))
			for _, secret := range got {
				require.NotEmpty(t, secret)
				require.Equal(t, got[0], secret)
			}
		}
	})
	s.run("Key with a cancelled context fails", func(t *testing.T, b *storage.Backend) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := b.Keys.Key(ctx, "name", func() []byte { return []byte("secret") })
		require.Error(t, err)
	})
	s.run("Migrate run again applies nothing and Check is content", func(t *testing.T, b *storage.Backend) {
		require.NoError(t, b.Schema.Check(timeout(t)))
		applied, err := b.Schema.Migrate(timeout(t))
		require.NoError(t, err)
		require.Empty(t, applied)
		require.NoError(t, b.Ping(timeout(t)))
	})
}
