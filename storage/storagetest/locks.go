package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// change runs fn in an Update of accounts and returns its error.
func change(t testing.TB, b *storage.Backend, fn func(ctx context.Context, tx accounts.Tx) error) error {
	return b.Accounts.Update(timeout(t), fn)
}

func userNow(t testing.TB, b *storage.Backend, username string) accounts.User {
	t.Helper()
	u, err := b.Accounts.UserByUsername(timeout(t), username)
	require.NoError(t, err)
	return u
}

// userLists are the cases of Users.
func (s suite) userLists() {
	s.run("WithCourses returns, in order, the ids of those who teach a course of whatever status, by one statement", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		for i, slug := range []string{"one", "two", "three"} {
			c := course(slug, sh.teachers[2-i%2*2]) // the third, the first, the third
			c.Status = []courses.Status{courses.Draft, courses.Archived, courses.Published}[i]
			insertCourses(t, b, c)
		}
		var want []core.UserID
		if !s.limits.CoursesApart {
			want = []core.UserID{sh.teachers[0], sh.teachers[2]}
		}
		for _, ids := range [][]core.UserID{{sh.teachers[2], sh.teachers[1], sh.teachers[0], sh.teachers[2], 404}, {sh.teachers[1]}, nil} {
			ctx, queries := storage.CountQueries(timeout(t))
			got, err := b.Accounts.WithCourses(ctx, ids)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.LessOrEqual(t, queries.Count(), min(1, len(ids)))
			want = nil // of the others
		}
	})
	s.run("Users returns up to q.Limit users behind q.After by folded username, by one statement", func(t *testing.T, b *storage.Backend) {
		random := random(t)
		n := size(500, 120)
		users := make([]accounts.User, n)
		for i, k := range random.Perm(n) {
			u := person(fmt.Sprintf("u%03d", k))
			if k%2 == 0 {
				u.Username = strings.ToUpper(u.Username)
			}
			if k%5 == 0 {
				u.Username = "Я" + u.Username
			}
			u.Role, u.Active = core.Roles[random.IntN(len(core.Roles))], random.IntN(3) > 0
			users[i] = u
		}
		users = insertUsers(t, b, users...)
		slices.SortFunc(users, func(a, b accounts.User) int {
			return strings.Compare(core.Fold(a.Username), core.Fold(b.Username))
		})
		yes, no := true, false
		for _, q := range []accounts.UserQuery{
			{},
			{Role: core.Teacher},
			{Active: &yes},
			{Active: &no},
			{Role: core.Admin, Active: &yes},
			{Role: core.Student, Active: &no},
		} {
			want := slices.DeleteFunc(slices.Clone(users), func(u accounts.User) bool {
				return (q.Role != "" && u.Role != q.Role) || (q.Active != nil && u.Active != *q.Active)
			})
			var got []accounts.User
			for q.Limit = 7; ; q.After = core.Fold(got[len(got)-1].Username) {
				ctx, queries := storage.CountQueries(timeout(t))
				page, err := b.Accounts.Users(ctx, q)
				require.NoError(t, err)
				require.LessOrEqual(t, queries.Count(), 1)
				require.LessOrEqual(t, len(page), q.Limit)
				if got = append(got, page...); len(page) < q.Limit {
					break
				}
			}
			require.Equal(t, want, got)
		}
	})
}

// userLocks are the cases of what is read to be written.
func (s suite) userLocks() {
	s.run("UsersForUpdate returns those of the users that exist, by id, without regard to case", func(t *testing.T, b *storage.Backend) {
		list := insertUsers(t, b, person("anna"), person("boris"), person("clara"))
		var got, none []accounts.User
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) (err error) {
			if got, err = tx.UsersForUpdate(ctx, "CLARA", "nobody", "Anna", "a\x00b", "anna"); err != nil {
				return err
			}
			none, err = tx.UsersForUpdate(ctx)
			return err
		}))
		require.Equal(t, []accounts.User{list[0], list[2]}, got)
		require.Empty(t, none)
	})
	s.run("users read for update stay as they are until the end of the transaction", func(t *testing.T, b *storage.Backend) {
		insertUsers(t, b, person("anna"), person("boris"))
		const workers = 6
		each := size(30, 8)
		counted(t, workers, each, func() error {
			return change(t, b, func(ctx context.Context, tx accounts.Tx) error {
				both, err := tx.UsersForUpdate(ctx, "boris", "anna")
				if err != nil {
					return err
				}
				for i := range both {
					both[i].Bio += "x"
				}
				return tx.UpdateUsers(ctx, both...)
			})
		})
		for _, name := range []string{"anna", "boris"} {
			u := userNow(t, b, name)
			require.Len(t, u.Bio, workers*each, "an update was lost")
			require.EqualValues(t, 1+workers*each, u.Version)
		}
	})
	s.run("UpdateUsers of a version that is not the stored one is ErrVersion, changes nothing and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		old := insertUsers(t, b, person("anna"))[0]
		require.NoError(t, updateUser(t, b, old))
		want := userNow(t, b, "anna")
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			for _, version := range []int64{old.Version, old.Version + 2, 0} {
				u := old
				u.Bio, u.Version = "lost", version
				if err := expect(tx.UpdateUsers(ctx, u), core.ErrVersion); err != nil {
					return err
				}
			}
			_, err := tx.InsertUsers(ctx, []accounts.User{person("kept")})
			return err
		}))
		require.Equal(t, want, userNow(t, b, "anna"))
		stored(t, b, accountsDomain, "kept", true)
	})
	s.run("RecordLogin writes the last login and a hash that is given, and leaves Version and UpdatedAt", func(t *testing.T, b *storage.Backend) {
		both := insertUsers(t, b, person("anna"), person("boris"))
		want := both[0]
		for i, hash := range []string{"$argon2id$x", "", "$argon2id$y"} {
			want.LastLogin = day.AddDate(i, 0, 0)
			if hash != "" {
				want.PasswordHash = hash
			}
			require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
				return errors.Join(tx.RecordLogin(ctx, want.ID, zoned(want.LastLogin), hash), expect(tx.RecordLogin(ctx, 404, day, ""), accounts.ErrUserNotFound))
			}))
			require.Equal(t, want, userNow(t, b, "anna"))
		}
		require.Equal(t, both[1], userNow(t, b, "boris"), "another user")
		require.ErrorIs(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error { return tx.RecordLogin(ctx, want.ID, day, "a\x00b") }), core.ErrInvalid)
	})
	s.run("LockAdmins returns the ids of all active admins, in order", func(t *testing.T, b *storage.Backend) {
		list := insertUsers(t, b, person("teacher"), person("second"), person("disabled"), person("first"))
		list[1].Role, list[2].Role, list[3].Role, list[2].Active = core.Admin, core.Admin, core.Admin, false
		require.Empty(t, admins(t, b))
		for _, u := range list[1:] {
			require.NoError(t, updateUser(t, b, u))
		}
		require.Equal(t, []core.UserID{list[1].ID, list[3].ID}, admins(t, b))
	})
	s.run("of transactions that lock the admins the second waits for the first, so that two demotions take turns", func(t *testing.T, b *storage.Backend) {
		for range size(40, 8) {
			pair := []accounts.User{person(fmt.Sprint("a-", time.Now().UnixNano())), person(fmt.Sprint("b-", time.Now().UnixNano()))}
			pair[0].Role, pair[1].Role = core.Admin, core.Admin
			pair = insertUsers(t, b, pair...)
			var wg sync.WaitGroup
			errs := make([]error, 2)
			for i := range pair {
				wg.Go(func() {
					errs[i] = b.Accounts.Update(context.Background(), func(ctx context.Context, tx accounts.Tx) error {
						left, err := tx.LockAdmins(ctx)
						if err != nil || len(left) < 2 {
							return err
						}
						time.Sleep(2 * time.Millisecond) // for the other to come
						found, err := tx.UsersForUpdate(ctx, pair[1-i].Username)
						if err != nil {
							return err
						}
						found[0].Role = core.Student
						return tx.UpdateUsers(ctx, found[0])
					})
				})
			}
			wg.Wait()
			require.NoError(t, errs[0])
			require.NoError(t, errs[1])
			left := admins(t, b)
			require.Len(t, left, 1, "both were demoted, or none")
			last := userNow(t, b, pair[slices.IndexFunc(pair, func(u accounts.User) bool { return u.ID == left[0] })].Username)
			last.Role = core.Student
			require.NoError(t, updateUser(t, b, last))
		}
	})
	s.run("the slug of a new profile is the DefaultSlug of the username, with something behind it where another has that", func(t *testing.T, b *storage.Backend) {
		anna := insertUsers(t, b, person("anna"))[0]
		p, err := b.Accounts.ProfileOf(timeout(t), anna.ID)
		require.NoError(t, err)
		p.Slug = "boris"
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error { return tx.UpdateProfile(ctx, p) }))
		list := insertUsers(t, b, person("boris"), person("clara"), person("d_e"), person("d.e"), person("admin_"))
		slugs := map[string]bool{}
		for i, want := range []string{"boris-", "clara", "d-e", "d-e-", "admin-1"} {
			p, err := b.Accounts.ProfileOf(timeout(t), list[i].ID)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(p.Slug, want), p.Slug)
			require.True(t, core.IsSlug(p.Slug), p.Slug)
			require.Equal(t, list[i].ProfileSlug, p.Slug)
			require.Equal(t, list[i], userNow(t, b, list[i].Username))
			slugs[p.Slug] = true
		}
		require.Len(t, slugs, len(list))
		require.Equal(t, []string{"clara", "d-e", "admin-1"}, []string{list[1].ProfileSlug, list[2].ProfileSlug, list[4].ProfileSlug})
		p, err = b.Accounts.ProfileBySlug(timeout(t), "boris")
		require.NoError(t, err)
		require.Equal(t, anna.ID, p.UserID)
	})
}

func admins(t testing.TB, b *storage.Backend) (ids []core.UserID) {
	t.Helper()
	require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) (err error) {
		ids, err = tx.LockAdmins(ctx)
		return err
	}))
	return ids
}

// counted runs f each times on each of the workers.
func counted(t testing.TB, workers, each int, f func() error) {
	t.Helper()
	errs := make(chan error, workers*each)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				errs <- f()
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}
