package storagetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

// forgetting holds what every store removes when its time has come.
func (s suite) forgetting(d, other domain) {
	s.run("Forget removes events of this store that are done, up to limit, and no other", func(t *testing.T, b *storage.Backend) {
		list, ids := events(5)
		emit(t, b, d, list[:4]...)
		emit(t, b, other, list[4])
		require.NoError(t, d.outbox(b).Done(timeout(t), ids[:3]...))
		require.NoError(t, other.outbox(b).Done(timeout(t), ids[4]))
		forget := func(d domain, before time.Time, limit, want int) {
			t.Helper()
			n, err := d.outbox(b).Forget(timeout(t), before, limit)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		later := time.Now().Add(time.Minute)
		forget(d, time.Now().Add(-time.Minute), 10, 0)
		forget(d, later, 2, 2)
		forget(d, later, 10, 1)
		forget(d, later, 10, 0)
		require.Equal(t, ids[3:4], pending(t, b, d, 10), "what is not done stays")
		forget(other, later, 10, 1)
	})
	s.run("ForgetKeys removes keys of before, the oldest first, up to limit", func(t *testing.T, b *storage.Backend) {
		key := func(i int) core.IdempotencyKey {
			return core.IdempotencyKey{Scope: "test", Key: fmt.Sprint(i), Request: core.RequestHash(i), At: day.Add(time.Duration(i) * time.Hour)}
		}
		known := func(i int) (done bool) {
			t.Helper()
			err := d.update(timeout(t), b, func(ctx context.Context, tx rows) (err error) {
				_, done, err = tx.Claim(ctx, key(i))
				return errors.Join(err, errBoom) // the look leaves nothing
			})
			require.ErrorIs(t, err, errBoom)
			return done
		}
		require.NoError(t, d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
			for i := range 4 {
				if _, _, err := tx.Claim(ctx, key(i)); err != nil {
					return err
				}
				if err := tx.SaveAnswer(ctx, key(i), []byte("{}")); err != nil {
					return err
				}
			}
			return nil
		}))
		for _, step := range []struct{ limit, want, left int }{{2, 2, 2}, {10, 1, 3}, {10, 0, 3}} {
			require.NoError(t, d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
				n, err := tx.ForgetKeys(ctx, key(3).At, step.limit)
				if err == nil && n != step.want {
					err = fmt.Errorf("%d keys were removed, not %d", n, step.want)
				}
				return err
			}))
			for i := range 4 {
				require.Equal(t, i >= step.left, known(i), "key %d", i)
			}
		}
	})
	s.run("ForgetScope removes keys whose scopes begin so, up to limit, and no others", func(t *testing.T, b *storage.Backend) {
		scopes := []string{"a/1/x", "a/1/y", "a/1/я", "a/10/x", "a/1", "a_1/x", "a%1/x", "A/1/x", "b/1/x"}
		key := func(scope string) core.IdempotencyKey {
			return core.IdempotencyKey{Scope: scope, Key: "k", Request: core.RequestHash(scope), At: day}
		}
		require.NoError(t, d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
			var errs []error
			for _, scope := range scopes {
				_, _, err := tx.Claim(ctx, key(scope))
				errs = append(errs, err, tx.SaveAnswer(ctx, key(scope), []byte("{}")))
			}
			return errors.Join(errs...)
		}))
		for _, want := range []int{2, 1, 0} {
			require.NoError(t, d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
				n, err := tx.ForgetScope(ctx, "a/1/", 2)
				if err == nil && n != want {
					err = fmt.Errorf("%d keys were removed, not %d", n, want)
				}
				return err
			}))
		}
		require.NoError(t, d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
			for i, scope := range scopes {
				if _, known, err := tx.Claim(ctx, key(scope)); err != nil || known != (i > 2) {
					return fmt.Errorf("the key of %q is known: %v, %w", scope, known, err)
				}
			}
			return nil
		}))
	})
}

// sessionsForgotten holds what accounts remove of sessions.
func (s suite) sessionsForgotten() {
	s.run("ForgetTokens removes expired tokens and the sessions that have none left by that", func(t *testing.T, b *storage.Backend) {
		user := insertUsers(t, b, person("anna"))[0]
		gone, kept := newSession(user, "192.0.2.0/24"), newSession(user, "192.0.2.0/24")
		old, older, fresh := token(gone, "old", day), token(kept, "older", day.Add(-time.Hour)), token(kept, "fresh", day.Add(time.Hour))
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			if err := errors.Join(tx.InsertSession(ctx, gone, old), tx.InsertSession(ctx, kept, older)); err != nil {
				return err
			}
			if _, ok, err := tx.UseRefreshToken(ctx, older.Hash, day.Add(-2*time.Hour)); err != nil || !ok {
				return fmt.Errorf("it was not used: %w", err)
			}
			_, err := tx.InsertRefreshToken(ctx, fresh)
			return err
		}))
		forget := func(before time.Time, limit, want int) {
			t.Helper()
			require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
				n, err := tx.ForgetTokens(ctx, before, limit)
				if err == nil && n != want {
					err = fmt.Errorf("%d tokens were removed, not %d", n, want)
				}
				return err
			}))
		}
		forget(day.Add(-2*time.Hour), 10, 0)
		forget(day.Add(time.Minute), 1, 1)
		_, err := b.Accounts.RefreshTokenByHash(timeout(t), older.Hash)
		require.ErrorIs(t, err, accounts.ErrSessionNotFound, "the oldest goes first")
		forget(day.Add(time.Minute), 10, 1)
		_, _, err = b.Accounts.SessionUser(timeout(t), gone.ID)
		require.ErrorIs(t, err, accounts.ErrSessionNotFound)
		_, _, err = b.Accounts.SessionUser(timeout(t), kept.ID)
		require.NoError(t, err)
		_, err = b.Accounts.RefreshTokenByHash(timeout(t), fresh.Hash)
		require.NoError(t, err)
	})
	s.run("ForgetSessions removes sessions that were revoked before and have no token left", func(t *testing.T, b *storage.Backend) {
		user := insertUsers(t, b, person("anna"))[0]
		list := make([]accounts.Session, 4)
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			for i := range list {
				list[i] = newSession(user, "192.0.2.0/24")
				if err := tx.InsertSession(ctx, list[i], token(list[i], fmt.Sprint(i), day.Add(time.Hour))); err != nil {
					return err
				}
			}
			// The first one keeps a used token, the last one is alive.
			if _, _, err := tx.UseRefreshToken(ctx, token(list[0], "0", day).Hash, day); err != nil {
				return err
			}
			return errors.Join(tx.RevokeSession(ctx, list[0].ID, day), tx.RevokeSession(ctx, list[1].ID, day), tx.RevokeSession(ctx, list[2].ID, day.Add(time.Hour)))
		}))
		for _, want := range []int{1, 0} {
			require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
				n, err := tx.ForgetSessions(ctx, day.Add(time.Minute), 10)
				if err == nil && n != want {
					err = fmt.Errorf("%d sessions were removed, not %d", n, want)
				}
				return err
			}))
		}
		for i, session := range list {
			_, _, err := b.Accounts.SessionUser(timeout(t), session.ID)
			if i == 1 {
				require.ErrorIs(t, err, accounts.ErrSessionNotFound)
			} else {
				require.NoError(t, err, i)
			}
		}
	})
}

// token is the token of that name of a session that expires then.
func token(s accounts.Session, name string, expires time.Time) accounts.RefreshToken {
	t := tokenOf(s, name)
	t.CreatedAt, t.ExpiresAt = expires.AddDate(0, -1, 0), expires
	return t
}
