package ustat_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/sqlite"
)

func Example() {
	ctx := context.Background()
	backend, err := sqlite.InMemory(ctx, nil)
	if err != nil {
		panic(err)
	}
	platform, err := ustat.New(backend, nil)
	if err != nil {
		panic(err)
	}
	if err := platform.Start(ctx); err != nil {
		panic(err)
	}
	defer platform.Stop(ctx)

	page, err := platform.Courses.List(ctx, core.Actor{}, courses.Filter{Query: "databases"}, "", core.Page{Limit: 10})
	fmt.Println(len(page.Items), err)
	// Output: 0 <nil>
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	backend, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backend.Close()) })
	for name, make := range map[string]func() (*storage.Backend, *ustat.Config){
		"no backend":  func() (*storage.Backend, *ustat.Config) { return nil, nil },
		"no accounts": func() (*storage.Backend, *ustat.Config) { b := *backend; b.Accounts = nil; return &b, nil },
		"no courses":  func() (*storage.Backend, *ustat.Config) { b := *backend; b.Courses = nil; return &b, nil },
		"no keys":     func() (*storage.Backend, *ustat.Config) { b := *backend; b.Keys = nil; return &b, nil },
		"a short key": func() (*storage.Backend, *ustat.Config) { return backend, &ustat.Config{CursorKey: []byte("secret")} },
		"a weak key":  func() (*storage.Backend, *ustat.Config) { return backend, &ustat.Config{CursorKey: make([]byte, 32)} },
		"a weak refresh key": func() (*storage.Backend, *ustat.Config) {
			return backend, &ustat.Config{RefreshKey: make([]byte, 32)}
		},
		"no token key": func() (*storage.Backend, *ustat.Config) {
			return backend, &ustat.Config{TokenKeys: []ed25519.PrivateKey{}}
		},
		"a weak token key": func() (*storage.Backend, *ustat.Config) {
			return backend, &ustat.Config{TokenKeys: []ed25519.PrivateKey{ed25519.NewKeyFromSeed(make([]byte, 32))}}
		},
		"a long access token": func() (*storage.Backend, *ustat.Config) {
			return backend, &ustat.Config{AccessTTL: 25 * time.Hour}
		},
		"a refresh token shorter than an access token": func() (*storage.Backend, *ustat.Config) {
			return backend, &ustat.Config{RefreshTTL: time.Minute}
		},
	} {
		b, c := make()
		_, err := ustat.New(b, c)
		require.ErrorIs(t, err, core.ErrInvalid, name)
	}
}

func TestStartMakesTheKeysOnceAndStopMayBeCalledTwice(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "ustat.db")
	cursor := ""
	var tokens accounts.Tokens
	for range 2 { // a cursor and tokens of the first process are good in the second
		backend, err := sqlite.Open(ctx, path, nil)
		require.NoError(t, err)
		p, err := ustat.New(backend, nil)
		require.NoError(t, err)
		require.ErrorIs(t, p.Ready(ctx), core.ErrUnavailable)
		require.NoError(t, p.Start(ctx))
		require.NoError(t, p.Ready(ctx))
		require.ErrorIs(t, p.Start(ctx), core.ErrFailedPrecondition)
		if cursor == "" {
			require.NoError(t, backend.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
				_, err := tx.EnsureTags(ctx, []courses.Tag{{Slug: "a", Name: "A"}, {Slug: "b", Name: "B"}})
				return err
			}))
			page, err := p.Courses.Tags(ctx, core.Page{Limit: 1})
			require.NoError(t, err)
			cursor = page.Next
			tokens, err = p.Accounts.Register(ctx, accounts.Registration{Username: "anna", Email: "a@example.org", Password: "correct horse"}, accounts.Client{})
			require.NoError(t, err)
		} else {
			_, err := p.Accounts.Authenticate(ctx, string(tokens.Access))
			require.NoError(t, err)
			_, err = p.Accounts.Refresh(ctx, tokens.Refresh, accounts.Client{})
			require.NoError(t, err)
			page, err := p.Courses.Tags(ctx, core.Page{Limit: 1, Cursor: cursor})
			require.NoError(t, err)
			require.Equal(t, "b", page.Items[0].Slug)
		}
		require.NoError(t, p.Stop(ctx))
		require.NoError(t, p.Stop(ctx))
		require.ErrorIs(t, p.Ready(ctx), core.ErrUnavailable)
		_, err = p.Courses.Course(ctx, core.Actor{}, "x")
		require.ErrorIs(t, err, core.ErrClosed)
	}
}

func TestManualMigrationsRefuseAnOldSchema(t *testing.T) {
	t.Parallel()
	backend, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	p, err := ustat.New(backend, &ustat.Config{ManualMigrations: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop(context.Background())) })
	require.ErrorIs(t, p.Start(t.Context()), storage.ErrSchemaOld)
	_, err = backend.Schema.Migrate(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, p.Start(t.Context()), storage.ErrSchemaOld, "the shard of analytics has a schema of its own")
	_, err = backend.Analytics.Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
}
