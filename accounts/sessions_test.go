package accounts_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

func TestARefreshTokenHasOneSuccessor(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.add(t, "anna", core.Student)
		first := w.login(t, "anna", home)
		const workers = 64
		answers := make([]accounts.Tokens, workers)
		errs := make([]error, workers)
		var wg sync.WaitGroup
		for i := range workers {
			wg.Go(func() { answers[i], errs[i] = w.Refresh(t.Context(), first.Refresh, home) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		for _, a := range answers {
			require.Equal(t, string(answers[0].Refresh), string(a.Refresh), "the same answer to the byte")
			_, err := w.Authenticate(t.Context(), string(a.Access))
			require.NoError(t, err)
		}
		require.NotEqual(t, string(first.Refresh), string(answers[0].Refresh))

		w.clock.step(10 * time.Second) // a retry whose answer was lost
		again, err := w.Refresh(t.Context(), first.Refresh, home)
		require.NoError(t, err)
		require.Equal(t, string(answers[0].Refresh), string(again.Refresh))

		second, err := w.Refresh(t.Context(), again.Refresh, home)
		require.NoError(t, err)
		w.clock.step(time.Microsecond) // now it is somebody else's
		_, err = w.Refresh(t.Context(), first.Refresh, home)
		require.ErrorIs(t, err, accounts.ErrBadToken)
		require.Equal(t, 1, w.audits(t, "accounts.refresh_reused"))
		require.Equal(t, 1, w.events(t, "accounts.refresh_reused"))
		_, err = w.Refresh(t.Context(), second.Refresh, home)
		require.ErrorIs(t, err, accounts.ErrBadToken, "the whole session is dead")
		_, err = w.Refresh(t.Context(), again.Refresh, home)
		require.ErrorIs(t, err, accounts.ErrBadToken)
		_, err = w.Authenticate(t.Context(), string(second.Access))
		require.ErrorIs(t, err, accounts.ErrBadToken)
		_, err = w.Refresh(t.Context(), first.Refresh, home)
		require.ErrorIs(t, err, accounts.ErrBadToken)
		require.Equal(t, 1, w.audits(t, "accounts.refresh_reused"), "a dead one dies once")
	})
}

func TestBadRefreshTokensHaveNoEffect(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.add(t, "anna", core.Student)
		tokens := w.login(t, "anna", home)
		good := string(tokens.Refresh)
		for _, bad := range []string{"", "x", good[:42], good + "A", "A" + good[1:42] + "_", good[:42] + "\n", string(tokens.Access), good[:42] + "é"} {
			if bad == good {
				continue
			}
			_, err := w.Refresh(t.Context(), core.Secret(bad), home)
			require.ErrorIs(t, err, accounts.ErrBadToken, "%q", bad)
			require.NoError(t, w.Logout(t.Context(), core.Secret(bad)))
		}
		require.Zero(t, w.audits(t, "accounts.refresh_reused"))
		w.clock.step(30*24*time.Hour - time.Microsecond)
		next, err := w.Refresh(t.Context(), tokens.Refresh, home)
		require.NoError(t, err)
		w.clock.step(30 * 24 * time.Hour)
		_, err = w.Refresh(t.Context(), next.Refresh, home)
		require.ErrorIs(t, err, accounts.ErrBadToken, "expired")
		require.Zero(t, w.audits(t, "accounts.refresh_reused"))
		for range 300 {
			_, err = w.Refresh(t.Context(), core.Secret("x"), home)
		}
		require.ErrorIs(t, err, accounts.ErrTooManyAttempts)
	})
}

func TestLogoutEndsOneSession(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.add(t, "anna", core.Student)
		phone, laptop := w.login(t, "anna", home), w.login(t, "anna", home)
		next, err := w.Refresh(t.Context(), phone.Refresh, home)
		require.NoError(t, err)
		require.NoError(t, w.Logout(t.Context(), next.Refresh))
		require.NoError(t, w.Logout(t.Context(), next.Refresh), "twice")
		for _, token := range []core.Secret{phone.Access, next.Access} {
			_, err = w.Authenticate(t.Context(), string(token))
			require.ErrorIs(t, err, accounts.ErrBadToken)
		}
		_, err = w.Refresh(t.Context(), next.Refresh, home)
		require.ErrorIs(t, err, accounts.ErrBadToken)
		_, err = w.Authenticate(t.Context(), string(laptop.Access))
		require.NoError(t, err)
	})
}

func TestAuthenticateIsOneStatementAndSeesADemotionAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.add(t, "root-admin", core.Admin)
		anna := w.add(t, "anna", core.Teacher)
		tokens := w.login(t, "anna", home)
		ctx, queries := storage.CountQueries(t.Context())
		actor, err := w.Authenticate(ctx, string(tokens.Access))
		require.NoError(t, err)
		require.Equal(t, anna, actor)
		require.Equal(t, 1, queries.Count())

		_, err = w.AssignRole(t.Context(), accounts.System, "anna", core.Student)
		require.NoError(t, err)
		actor, err = w.Authenticate(t.Context(), string(tokens.Access))
		require.NoError(t, err)
		require.Equal(t, core.Student, actor.Role)

		_, err = w.SetActive(t.Context(), accounts.System, "anna", false)
		require.NoError(t, err)
		for range 2 {
			_, err = w.Authenticate(t.Context(), string(tokens.Access))
			require.ErrorIs(t, err, accounts.ErrBadToken)
			_, err = w.Refresh(t.Context(), tokens.Refresh, home)
			require.ErrorIs(t, err, accounts.ErrBadToken)
			_, err = w.SetActive(t.Context(), accounts.System, "anna", true) // old tokens stay dead
			require.NoError(t, err)
		}
		w.login(t, "anna", home)
	})
}
