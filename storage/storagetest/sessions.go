package storagetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

func newSession(u accounts.User, network string) accounts.Session {
	return accounts.Session{ID: uuid.Must(uuid.NewV7()), UserID: u.ID, Network: network, CreatedAt: day}
}

// tokenOf is the token of that name of a session, good for an hour.
func tokenOf(s accounts.Session, name string) accounts.RefreshToken {
	return accounts.RefreshToken{Hash: sha256.Sum256([]byte(s.ID.String() + name)), Session: s.ID, CreatedAt: day, ExpiresAt: day.Add(time.Hour)}
}

// begin commits a session with a token "first".
func begin(t testing.TB, b *storage.Backend, u accounts.User, network string) accounts.Session {
	t.Helper()
	s := newSession(u, network)
	require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error { return tx.InsertSession(ctx, s, tokenOf(s, "first")) }))
	return s
}

// use uses a token and reports whether it could be used.
func use(t testing.TB, b *storage.Backend, hash accounts.TokenHash, at time.Time) (token accounts.RefreshToken, ok bool) {
	t.Helper()
	require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) (err error) {
		token, ok, err = tx.UseRefreshToken(ctx, hash, at)
		return err
	}))
	return token, ok
}

// rotate uses a token and puts the next in its place, as the service does.
func rotate(ctx context.Context, b *storage.Backend, s accounts.Session, from, to string) (rotated bool, err error) {
	err = b.Accounts.Update(ctx, func(ctx context.Context, tx accounts.Tx) error {
		rotated = false
		if _, ok, err := tx.UseRefreshToken(ctx, tokenOf(s, from).Hash, day); err != nil || !ok {
			return err
		}
		added, err := tx.InsertRefreshToken(ctx, tokenOf(s, to))
		rotated = added
		return err
	})
	return rotated, err
}

func (s suite) sessions() {
	s.run("SessionUser returns a session, revoked or not, and its user by one statement", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("anna"), person("boris"))
		users[0].LastLogin = day
		require.NoError(t, updateUser(t, b, users[0]))
		begin(t, b, users[1], "other")
		want := newSession(users[0], "10.0.0.1 'ё'")
		zonedSession, first := want, tokenOf(want, "first")
		zonedSession.CreatedAt, first.CreatedAt, first.ExpiresAt = zoned(want.CreatedAt), zoned(first.CreatedAt), zoned(first.ExpiresAt)
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error { return tx.InsertSession(ctx, zonedSession, first) }))
		for range 2 {
			ctx, queries := storage.CountQueries(timeout(t))
			got, u, err := b.Accounts.SessionUser(ctx, want.ID)
			require.NoError(t, err)
			require.LessOrEqual(t, queries.Count(), 1)
			require.Equal(t, want, got)
			require.Equal(t, userNow(t, b, "anna"), u)
			want.RevokedAt = day.Add(time.Minute)
			require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
				return tx.RevokeSession(ctx, want.ID, zoned(want.RevokedAt))
			}))
		}
		_, _, err := b.Accounts.SessionUser(timeout(t), uuid.New())
		require.ErrorIs(t, err, accounts.ErrSessionNotFound)
	})
	s.run("a session or a link of an unknown user is ErrInvalid, a second unused token ErrConflict", func(t *testing.T, b *storage.Backend) {
		anna := insertUsers(t, b, person("anna"))[0]
		session := newSession(accounts.User{ID: 1 << 40}, "home")
		require.ErrorIs(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			return tx.InsertSession(ctx, session, tokenOf(session, "first"))
		}), core.ErrInvalid)
		require.ErrorIs(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			_, err := tx.LinkTeacher(ctx, 1<<40, anna.ID, day)
			return err
		}), core.ErrInvalid)
		session = begin(t, b, anna, "home")
		require.ErrorIs(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			_, err := tx.InsertRefreshToken(ctx, tokenOf(session, "second"))
			return err
		}), core.ErrConflict)
	})
	s.run("KnownNetwork reports whether the user has a session from it that is not revoked", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("anna"), person("boris"))
		known := func(want bool, u accounts.User, network string) {
			t.Helper()
			got, err := b.Accounts.KnownNetwork(timeout(t), u.ID, network)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		known(false, users[0], "home")
		session := begin(t, b, users[0], "home")
		known(true, users[0], "home")
		known(false, users[0], "work")
		known(false, users[0], "a\x00b")
		known(false, users[1], "home")
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error { return tx.RevokeSession(ctx, session.ID, day) }))
		known(false, users[0], "home")
	})
	s.run("RefreshTokenByHash returns a token, used or not, or fails with ErrSessionNotFound", func(t *testing.T, b *storage.Backend) {
		session := begin(t, b, insertUsers(t, b, person("anna"))[0], "home")
		want := tokenOf(session, "first")
		for range 2 {
			got, err := b.Accounts.RefreshTokenByHash(timeout(t), want.Hash)
			require.NoError(t, err)
			require.Equal(t, want, got)
			want.UsedAt = day.Add(time.Second)
			use(t, b, want.Hash, want.UsedAt)
		}
		_, err := b.Accounts.RefreshTokenByHash(timeout(t), accounts.TokenHash{1})
		require.ErrorIs(t, err, accounts.ErrSessionNotFound)
	})
	s.run("UseRefreshToken marks a token as used and returns it; one that is unknown, used or expired is not ok and unchanged", func(t *testing.T, b *storage.Backend) {
		session := begin(t, b, insertUsers(t, b, person("anna"))[0], "home")
		want := tokenOf(session, "first")
		for _, at := range []time.Time{want.ExpiresAt, want.ExpiresAt.Add(time.Microsecond)} {
			_, ok := use(t, b, want.Hash, at)
			require.False(t, ok, "expired")
		}
		_, ok := use(t, b, accounts.TokenHash{1}, day)
		require.False(t, ok, "unknown")
		want.UsedAt = want.ExpiresAt.Add(-time.Microsecond)
		got, ok := use(t, b, want.Hash, zoned(want.UsedAt))
		require.True(t, ok)
		require.Equal(t, want, got)
		_, ok = use(t, b, want.Hash, day)
		require.False(t, ok, "used")
		got, err := b.Accounts.RefreshTokenByHash(timeout(t), want.Hash)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
	s.run("of concurrent callers of UseRefreshToken one gets it", func(t *testing.T, b *storage.Backend) {
		session := begin(t, b, insertUsers(t, b, person("anna"))[0], "home")
		const workers = 16
		won := make([]bool, workers)
		errs := make([]error, workers)
		var wg sync.WaitGroup
		for i := range workers {
			wg.Go(func() { won[i], errs[i] = rotate(context.Background(), b, session, "first", "second") })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		winners := 0
		for _, w := range won {
			if w {
				winners++
			}
		}
		require.Equal(t, 1, winners)
		_, ok := use(t, b, tokenOf(session, "second").Hash, day)
		require.True(t, ok)
	})
	s.run("at most one token of a session is unused", func(t *testing.T, b *storage.Backend) {
		session := begin(t, b, insertUsers(t, b, person("anna"))[0], "home")
		require.ErrorIs(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			_, err := tx.InsertRefreshToken(ctx, tokenOf(session, "twin"))
			return err
		}), core.ErrConflict)
		_, err := b.Accounts.RefreshTokenByHash(timeout(t), tokenOf(session, "twin").Hash)
		require.ErrorIs(t, err, accounts.ErrSessionNotFound)
	})
	s.revocations()
}

func (s suite) revocations() {
	s.run("InsertRefreshToken adds nothing to a session that is unknown or revoked", func(t *testing.T, b *storage.Backend) {
		anna := insertUsers(t, b, person("anna"))[0]
		revoked := begin(t, b, anna, "home")
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error { return tx.RevokeSession(ctx, revoked.ID, day) }))
		for _, session := range []accounts.Session{revoked, newSession(anna, "home")} {
			require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
				added, err := tx.InsertRefreshToken(ctx, tokenOf(session, "next"))
				if added {
					err = errors.New("it was added")
				}
				return err
			}))
		}
	})
	s.run("RevokeSession leaves no unused token, and what is unknown or revoked alone", func(t *testing.T, b *storage.Backend) {
		anna := insertUsers(t, b, person("anna"))[0]
		session, other := begin(t, b, anna, "home"), begin(t, b, anna, "work")
		_, err := rotate(timeout(t), b, session, "first", "second")
		require.NoError(t, err)
		for _, at := range []time.Time{day, day.Add(time.Hour)} { // the second changes nothing
			require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
				return errors.Join(tx.RevokeSession(ctx, session.ID, at), tx.RevokeSession(ctx, uuid.New(), at))
			}))
		}
		got, _, err := b.Accounts.SessionUser(timeout(t), session.ID)
		require.NoError(t, err)
		require.Equal(t, day, got.RevokedAt)
		_, ok := use(t, b, tokenOf(session, "second").Hash, day)
		require.False(t, ok)
		used, err := b.Accounts.RefreshTokenByHash(timeout(t), tokenOf(session, "first").Hash)
		require.NoError(t, err, "a used one stays known")
		require.Equal(t, day, used.UsedAt)
		_, ok = use(t, b, tokenOf(other, "first").Hash, day)
		require.True(t, ok, "another session")
	})
	s.run("RevokeSessionsOf ends every session of a user and of nobody else", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("anna"), person("boris"))
		mine := []accounts.Session{begin(t, b, users[0], "a"), begin(t, b, users[0], "b"), begin(t, b, users[0], "b")}
		other := begin(t, b, users[1], "a")
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error { return tx.RevokeSessionsOf(ctx, users[0].ID, day) }))
		for _, session := range mine {
			got, _, err := b.Accounts.SessionUser(timeout(t), session.ID)
			require.NoError(t, err)
			require.Equal(t, day, got.RevokedAt)
			_, ok := use(t, b, tokenOf(session, "first").Hash, day)
			require.False(t, ok)
		}
		_, ok := use(t, b, tokenOf(other, "first").Hash, day)
		require.True(t, ok)
	})
	s.run("a session that is revoked while its token is rotated has no unused token", func(t *testing.T, b *storage.Backend) {
		anna := insertUsers(t, b, person("anna"))[0]
		for i := range size(100, 25) {
			session := begin(t, b, anna, "home")
			ended := make(chan error, 2)
			go func() {
				_, err := rotate(context.Background(), b, session, "first", "second")
				ended <- err
			}()
			go func() {
				ended <- b.Accounts.Update(context.Background(), func(ctx context.Context, tx accounts.Tx) error {
					if i%2 == 0 {
						return tx.RevokeSession(ctx, session.ID, day)
					}
					return tx.RevokeSessionsOf(ctx, anna.ID, day)
				})
			}()
			require.NoError(t, errors.Join(<-ended, <-ended))
			for _, name := range []string{"first", "second"} {
				_, ok := use(t, b, tokenOf(session, name).Hash, day)
				require.False(t, ok, fmt.Sprintf("round %d: the token %s lives", i, name))
			}
		}
	})
	s.run("a session that InsertRefreshToken found alive is not revoked until the end of the transaction", func(t *testing.T, b *storage.Backend) {
		if s.limits.SingleWriter {
			t.Skip("writers take turns")
		}
		session := begin(t, b, insertUsers(t, b, person("anna"))[0], "home")
		revoked := make(chan error, 1)
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			if _, _, err := tx.UseRefreshToken(ctx, tokenOf(session, "first").Hash, day); err != nil {
				return err
			}
			if _, err := tx.InsertRefreshToken(ctx, tokenOf(session, "second")); err != nil {
				return err
			}
			go func() {
				revoked <- b.Accounts.Update(context.Background(), func(ctx context.Context, tx accounts.Tx) error {
					return tx.RevokeSession(ctx, session.ID, day)
				})
			}()
			select {
			case <-revoked:
				return errors.New("it was revoked meanwhile")
			case <-time.After(100 * time.Millisecond):
				return nil
			}
		}))
		require.NoError(t, <-revoked)
		_, ok := use(t, b, tokenOf(session, "second").Hash, day)
		require.False(t, ok)
	})
}
