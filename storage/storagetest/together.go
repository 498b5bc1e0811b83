package storagetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

// updatedTogether are the cases of users that are written by one call.
func (s suite) updatedTogether() {
	s.run("UpdateUsers writes many users by a number of statements that depends on their number in blocks", func(t *testing.T, b *storage.Backend) {
		n := size(3000, 700)
		users := make([]accounts.User, n)
		for i := range users {
			users[i] = person(fmt.Sprint("user-", i))
			users[i].Role = core.Student
		}
		users = insertUsers(t, b, users...)
		for i := range users {
			users[i].Bio = awkward[i%len(awkward)]
			if i%2 == 0 {
				users[i].Role, users[i].LastLogin = core.Teacher, day
			}
		}
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			ctx, queries := storage.CountQueries(ctx)
			err := tx.UpdateUsers(ctx, users...)
			require.Less(t, queries.Count(), 10+n/100)
			return errors.Join(err, tx.UpdateUsers(ctx))
		}))
		ids := make([]core.UserID, n)
		for i := range users {
			ids[i], users[i].Version = users[i].ID, 2
		}
		got, err := b.Accounts.UsersByID(timeout(t), ids)
		require.NoError(t, err)
		require.ElementsMatch(t, users, got)
		listed, err := b.Accounts.Profiles(timeout(t), accounts.ProfileQuery{Limit: n})
		require.NoError(t, err)
		require.Len(t, listed, n/2, "those who are teachers now")
	})
	s.run("UpdateUsers gives a name that one user leaves to another", func(t *testing.T, b *storage.Backend) {
		list := insertUsers(t, b, person("anna"), person("boris"), person("clara"))
		for i := range list {
			list[i].Username, list[i].Email = []string{"BORIS", "clara", "anna"}[i], []string{"clara@example.org", "boris@example.org", "ANNA@example.org"}[i]
		}
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error { return tx.UpdateUsers(ctx, list...) }))
		for _, u := range list {
			u.Version = 2
			require.Equal(t, u, userNow(t, b, strings.ToLower(u.Username)))
		}
	})
	s.run("UpdateUsers that refuses one user writes none and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		list := insertUsers(t, b, person("anna"), person("boris"), person("clara"))
		refused := func(want error, second func(u *accounts.User)) {
			first, other := list[0], list[1]
			first.Bio, first.Role = "changed", core.Admin
			second(&other)
			require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
				err := expect(tx.UpdateUsers(ctx, first, other), want)
				got, readErr := tx.UsersByID(ctx, []core.UserID{first.ID})
				require.Equal(t, list[:1], got)
				return errors.Join(err, readErr)
			}))
		}
		refused(accounts.ErrUsernameTaken, func(u *accounts.User) { u.Username = "CLARA" })
		refused(accounts.ErrUsernameTaken, func(u *accounts.User) { u.Username = "Anna" })
		refused(accounts.ErrEmailTaken, func(u *accounts.User) { u.Email = "Clara@example.org" })
		refused(accounts.ErrEmailTaken, func(u *accounts.User) { u.Email = "Anna@example.org" })
		refused(accounts.ErrUserNotFound, func(u *accounts.User) { u.ID, u.Username, u.Email = 404, "nobody", "nobody@example.org" })
		refused(core.ErrVersion, func(u *accounts.User) { u.Version++ })
		refused(core.ErrVersion, func(u *accounts.User) { *u = list[0] })
		for _, u := range list {
			require.Equal(t, u, userNow(t, b, u.Username))
		}
	})
}
