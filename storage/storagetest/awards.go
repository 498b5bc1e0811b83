package storagetest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

// addAwards adds awards in a transaction of their own and returns the new ones in
// order.
func addAwards(t testing.TB, b *storage.Backend, list ...accounts.Award) ([]accounts.Award, error) {
	var added []accounts.Award
	err := change(t, b, func(ctx context.Context, tx accounts.Tx) (err error) {
		added, err = tx.AddAwards(ctx, list)
		return err
	})
	slices.SortFunc(added, func(a, b accounts.Award) int {
		return cmp.Or(cmp.Compare(a.User, b.User), strings.Compare(a.Code, b.Code))
	})
	return added, err
}

func (s suite) awards() {
	s.run("AddAwards adds awards once, and AwardsOf returns them by user, time and code", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("anna"), person("boris"), person("clara"))
		anna, boris := users[0].ID, users[1].ID
		first := []accounts.Award{{User: anna, Code: "b", At: zoned(day)}, {User: anna, Code: "z", At: day.Add(-time.Hour)}, {User: boris, Code: "b", At: day}}
		stored := slices.Clone(first)
		stored[0].At = day
		added, err := addAwards(t, b, first...)
		require.NoError(t, err)
		require.Equal(t, stored, added)
		// Of the second list only one is new, and none is changed.
		second := []accounts.Award{{User: anna, Code: "a", At: day}, {User: anna, Code: "b", At: day.Add(time.Hour)}, {User: boris, Code: "b", At: day.Add(-time.Hour)}}
		added, err = addAwards(t, b, second...)
		require.NoError(t, err)
		require.Equal(t, second[:1], added)
		got, err := b.Accounts.AwardsOf(timeout(t), []core.UserID{boris, users[2].ID, anna})
		require.NoError(t, err)
		require.Equal(t, []accounts.Award{stored[1], second[0], stored[0], stored[2]}, got)
		for _, a := range got {
			require.Equal(t, time.UTC, a.At.Location())
		}
		added, err = addAwards(t, b)
		require.NoError(t, err)
		require.Empty(t, added)
	})
	s.run("no users have no awards, by no statement, and others' are not theirs", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("anna"), person("boris"))
		_, err := addAwards(t, b, accounts.Award{User: users[0].ID, Code: "a", At: day})
		require.NoError(t, err)
		ctx, counter := storage.CountQueries(timeout(t))
		none, err := b.Accounts.AwardsOf(ctx, nil)
		require.NoError(t, err)
		require.Empty(t, none)
		require.Zero(t, counter.Count())
		theirs, err := b.Accounts.AwardsOf(ctx, []core.UserID{users[1].ID})
		require.NoError(t, err)
		require.Empty(t, theirs)
	})
	s.run("an award of a user that there is not is core.ErrInvalid, after which the Update fails", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("anna"))
		err := change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			_, err := tx.AddAwards(ctx, []accounts.Award{{User: users[0].ID, Code: "a", At: day}, {User: users[0].ID + 1000, Code: "a", At: day}})
			return expect(err, core.ErrInvalid)
		})
		require.ErrorIs(t, err, core.ErrInvalid)
		none, err := b.Accounts.AwardsOf(timeout(t), []core.UserID{users[0].ID})
		require.NoError(t, err)
		require.Empty(t, none)
	})
	s.run("a code that is no text is core.ErrInvalid and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("anna"))
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			_, err := tx.AddAwards(ctx, []accounts.Award{{User: users[0].ID, Code: "a\x00", At: day}})
			if err := expect(err, core.ErrInvalid); err != nil {
				return err
			}
			_, err = tx.AddAwards(ctx, []accounts.Award{{User: users[0].ID, Code: "a", At: day}})
			return err
		}))
	})
	s.run("of concurrent callers one adds an award", func(t *testing.T, b *storage.Backend) {
		var list []accounts.Award
		for _, u := range insertUsers(t, b, person("anna"), person("boris"), person("clara")) {
			list = append(list, accounts.Award{User: u.ID, Code: "a", At: day}, accounts.Award{User: u.ID, Code: "b", At: day})
		}
		callers := size(50, 8)
		added, errs := make([][]accounts.Award, callers), make([]error, callers)
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() { added[i], errs[i] = addAwards(t, b, list...) })
		}
		all.Wait()
		var new []accounts.Award
		for i := range callers {
			require.NoError(t, errs[i])
			new = append(new, added[i]...)
		}
		require.ElementsMatch(t, list, new)
	})
}
