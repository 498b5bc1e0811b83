package storagetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

// insertUsers commits users and returns them with their ids.
func insertUsers(t testing.TB, b *storage.Backend, users ...accounts.User) []accounts.User {
	t.Helper()
	var out []accounts.User
	require.NoError(t, b.Accounts.Update(timeout(t), func(ctx context.Context, tx accounts.Tx) (err error) {
		out, err = tx.InsertUsers(ctx, users)
		return err
	}))
	require.Len(t, out, len(users))
	return out
}

func updateUser(t testing.TB, b *storage.Backend, u accounts.User) error {
	return b.Accounts.Update(timeout(t), func(ctx context.Context, tx accounts.Tx) error { return tx.UpdateUsers(ctx, u) })
}

func usernames(users []accounts.User) []string {
	names := make([]string, len(users))
	for i, u := range users {
		names[i] = u.Username
	}
	slices.Sort(names)
	return names
}

func (s suite) users() {
	s.run("a missing user is ErrUserNotFound", func(t *testing.T, b *storage.Backend) {
		_, err := b.Accounts.UserByUsername(timeout(t), "nobody")
		require.ErrorIs(t, err, accounts.ErrUserNotFound)
		require.ErrorIs(t, err, core.ErrNotFound)
		_, err = b.Accounts.ProfileBySlug(timeout(t), "nobody")
		require.ErrorIs(t, err, accounts.ErrUserNotFound)
		u := person("nobody")
		u.ID = 404
		require.ErrorIs(t, updateUser(t, b, u), accounts.ErrUserNotFound)
	})
	s.run("InsertUsers returns users with ids in the order given, each with Version and AuthVersion 1 and an empty profile", func(t *testing.T, b *storage.Backend) {
		n := size(3000, 700)
		users := make([]accounts.User, n)
		for i := range users {
			users[i] = person(fmt.Sprintf("user-%d", (i*7919)%n))
			users[i].AuthVersion, users[i].Version = 7, 9 // what is handed in does not count
		}
		out := insertUsers(t, b, users...)
		seen := map[core.UserID]bool{}
		for i, u := range out {
			require.Positive(t, u.ID)
			require.False(t, seen[u.ID], "an id twice")
			seen[u.ID] = true
			users[i].ID, users[i].AuthVersion, users[i].Version = u.ID, 1, 1
		}
		require.Equal(t, users, out)
		for _, u := range []accounts.User{out[0], out[n/2], out[n-1]} {
			profile, err := b.Accounts.ProfileBySlug(timeout(t), u.Username)
			require.NoError(t, err)
			require.Equal(t, accounts.Profile{UserID: u.ID, Slug: u.Username, Version: 1}, profile)
		}
		ids := make([]core.UserID, 0, n+3)
		for id := range seen {
			ids = append(ids, id)
		}
		ctx, queries := storage.CountQueries(timeout(t))
		got, err := b.Accounts.UsersByID(ctx, append(ids, 1<<40, ids[0], ids[n-1]))
		require.NoError(t, err)
		require.LessOrEqual(t, queries.Count(), 1, "UsersByID is one statement")
		order := func(a, b accounts.User) int { return cmp.Compare(a.ID, b.ID) }
		slices.SortFunc(got, order)
		slices.SortFunc(out, order)
		require.Equal(t, out, got)
		require.Empty(t, insertUsers(t, b))
	})
	s.run("NamesByID gives each name once, of who has no full name the username", func(t *testing.T, b *storage.Backend) {
		nameless := person("nameless")
		nameless.FullName = ""
		made := insertUsers(t, b, person("anna"), nameless)
		ctx, queries := storage.CountQueries(timeout(t))
		got, err := b.Accounts.NamesByID(ctx, []core.UserID{made[1].ID, 1 << 40, made[0].ID, made[1].ID})
		require.NoError(t, err)
		require.LessOrEqual(t, queries.Count(), 1, "NamesByID is one statement")
		slices.SortFunc(got, func(a, b accounts.Name) int { return cmp.Compare(a.ID, b.ID) })
		require.Equal(t, []accounts.Name{
			{ID: made[0].ID, Username: "anna", Name: made[0].FullName}, {ID: made[1].ID, Username: "nameless", Name: "nameless"},
		}, got)
	})
	s.run("UsersByID and NamesByID without ids give nothing and make no statement", func(t *testing.T, b *storage.Backend) {
		ctx, queries := storage.CountQueries(timeout(t))
		got, err := b.Accounts.UsersByID(ctx, nil)
		require.NoError(t, err)
		require.Empty(t, got)
		names, err := b.Accounts.NamesByID(ctx, nil)
		require.NoError(t, err)
		require.Empty(t, names)
		require.Zero(t, queries.Count())
	})
	s.run("times come back in UTC to the microsecond", func(t *testing.T, b *storage.Backend) {
		for i, at := range []time.Time{day, time.Unix(0, 0), day.AddDate(0, 6, 0).Truncate(time.Second), time.Date(1969, 7, 20, 20, 17, 40, 1000, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)} {
			u := person(fmt.Sprint("user-", i))
			u.CreatedAt, u.UpdatedAt = zoned(at), zoned(at.Add(-time.Second))
			insertUsers(t, b, u)
			got, err := b.Accounts.UserByUsername(timeout(t), u.Username)
			require.NoError(t, err)
			utc(t, at, got.CreatedAt)
			utc(t, at.Add(-time.Second), got.UpdatedAt)
			err = b.Accounts.Update(timeout(t), func(ctx context.Context, tx accounts.Tx) error {
				inside, err := tx.UserByUsername(ctx, u.Username)
				if inside.CreatedAt != got.CreatedAt {
					err = fmt.Errorf("inside the Tx it is %v", inside.CreatedAt)
				}
				return err
			})
			require.NoError(t, err)
		}
	})
	s.run("every field and any text comes back as it was", func(t *testing.T, b *storage.Backend) {
		for i, text := range awkward {
			u := person(fmt.Sprint("user-", i))
			u.FullName, u.Bio, u.PasswordHash = text, text+text, text
			u.Role, u.Active = core.Roles[i%len(core.Roles)], i%2 == 0
			u.Phone, u.EmailVerified, u.LastLogin = text, i%2 == 1, day.AddDate(0, i, 0)
			u = insertUsers(t, b, u)[0]
			got, err := b.Accounts.UserByUsername(timeout(t), u.Username)
			require.NoError(t, err)
			require.Equal(t, u, got)
		}
	})
	s.run("NUL bytes and invalid UTF-8 are refused with ErrInvalid", func(t *testing.T, b *storage.Backend) {
		old := insertUsers(t, b, person("old"))[0]
		for _, bad := range []string{"a\x00b", "\x00", "a\xffb"} {
			for field, set := range map[string]func(u *accounts.User){
				"Username":     func(u *accounts.User) { u.Username = bad },
				"Email":        func(u *accounts.User) { u.Email = bad },
				"FullName":     func(u *accounts.User) { u.FullName = bad },
				"Bio":          func(u *accounts.User) { u.Bio = bad },
				"PasswordHash": func(u *accounts.User) { u.PasswordHash = bad },
				"Phone":        func(u *accounts.User) { u.Phone = bad },
			} {
				u := person("new")
				set(&u)
				err := b.Accounts.Update(timeout(t), func(ctx context.Context, tx accounts.Tx) error {
					_, err := tx.InsertUsers(ctx, []accounts.User{u})
					return err
				})
				require.ErrorIs(t, err, core.ErrInvalid, "InsertUsers, %s", field)
				u = old
				set(&u)
				require.ErrorIs(t, updateUser(t, b, u), core.ErrInvalid, "UpdateUsers, %s", field)
			}
			_, err := b.Accounts.UserByUsername(timeout(t), bad)
			require.Error(t, err)
			require.NotErrorIs(t, err, core.ErrInternal, "looking for it is the caller's fault or finds nothing")
		}
		got, err := b.Accounts.UsersByID(timeout(t), []core.UserID{old.ID})
		require.NoError(t, err)
		require.Equal(t, []accounts.User{old}, got)
	})
	s.run("a user is found by username without regard to case", func(t *testing.T, b *storage.Backend) {
		for _, name := range []string{"Anna.Karenina", "Пётр", "ÅSA"} {
			u := person("x")
			u.Username, u.Email = name, name+"@Пример.example"
			u = insertUsers(t, b, u)[0]
			for _, spelt := range []string{name, strings.ToUpper(name), strings.ToLower(name)} {
				got, err := b.Accounts.UserByUsername(timeout(t), spelt)
				require.NoError(t, err, spelt)
				require.Equal(t, u, got)
				for _, by := range [][2][]string{{{spelt}, nil}, {nil, {strings.ToUpper(u.Email)}}} {
					list, err := b.Accounts.UsersByName(timeout(t), by[0], by[1])
					require.NoError(t, err)
					require.Equal(t, []accounts.User{u}, list)
				}
			}
		}
	})
	s.run("UsersByName returns each user once by one statement", func(t *testing.T, b *storage.Backend) {
		insertUsers(t, b, person("anna"), person("boris"), person("clara"), person("dora"))
		ctx, queries := storage.CountQueries(timeout(t))
		got, err := b.Accounts.UsersByName(ctx,
			[]string{"anna", "ANNA", "boris", "nobody", "clara@example.org"}, []string{"anna@example.org", "CLARA@example.org", "", "dora"})
		require.NoError(t, err)
		require.LessOrEqual(t, queries.Count(), 1)
		require.Equal(t, []string{"anna", "boris", "clara"}, usernames(got))
		got, err = b.Accounts.UsersByName(timeout(t), nil, nil)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	s.takenNames()
}

func (s suite) takenNames() {
	s.run("a name that is taken without regard to case is ErrUsernameTaken or ErrEmailTaken, adds none and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		anna := person("Анна")
		anna.Username = "Anna"
		insertUsers(t, b, anna)
		name, mail := person("x"), person("y")
		name.Username = "aNNA"
		mail.Email = "АННА@EXAMPLE.ORG"
		twin := person("TWIN")
		twin.Email = "other@example.org"
		mailTwin := person("mail-twin")
		mailTwin.Email = "Twin@Example.org"
		err := b.Accounts.Update(timeout(t), func(ctx context.Context, tx accounts.Tx) error {
			for _, c := range []struct {
				why  string
				list []accounts.User
				want error
			}{
				{"a username", []accounts.User{person("a"), name, person("b")}, accounts.ErrUsernameTaken},
				{"an e-mail", []accounts.User{person("a"), person("b"), mail}, accounts.ErrEmailTaken},
				{"a username twice in the list", []accounts.User{person("twin"), twin}, accounts.ErrUsernameTaken},
				{"an e-mail twice in the list", []accounts.User{person("twin"), mailTwin}, accounts.ErrEmailTaken},
			} {
				if _, err := tx.InsertUsers(ctx, c.list); !errors.Is(err, c.want) || !errors.Is(err, core.ErrConflict) {
					return fmt.Errorf("%s that is taken: want %w, got: %w", c.why, c.want, err)
				}
			}
			_, err := tx.InsertUsers(ctx, []accounts.User{person("kept")})
			return err
		})
		require.NoError(t, err)
		for _, name := range []string{"a", "b", "x", "y", "twin", "mail-twin"} {
			stored(t, b, accountsDomain, name, false)
			_, err := b.Accounts.ProfileBySlug(timeout(t), name)
			require.ErrorIs(t, err, accounts.ErrUserNotFound, "a profile was left behind")
		}
		stored(t, b, accountsDomain, "kept", true)
	})
	s.run("UpdateUsers writes every field except CreatedAt and ProfileSlug, and makes the version one more", func(t *testing.T, b *storage.Backend) {
		both := insertUsers(t, b, person("anna"), person("boris"))
		u := accounts.User{
			ID: both[0].ID, Username: "Hannah", Email: "Hannah@example.com", Role: core.Admin, FullName: "Ханна 🎓", Bio: "'bio'", Language: "pt-BR",
			PasswordHash: "$argon2id$x", Active: false, EmailVerified: true, Phone: "+77011234567", LastLogin: day.AddDate(3, 0, 0),
			AuthVersion: 7, Version: both[0].Version, CreatedAt: day.AddDate(1, 0, 0), UpdatedAt: day.AddDate(2, 0, 0),
		}
		require.NoError(t, updateUser(t, b, u))
		u.CreatedAt, u.ProfileSlug, u.Version = day, "anna", u.Version+1
		got, err := b.Accounts.UserByUsername(timeout(t), "hannah")
		require.NoError(t, err)
		require.Equal(t, u, got)
		_, err = b.Accounts.UserByUsername(timeout(t), "anna")
		require.ErrorIs(t, err, accounts.ErrUserNotFound, "the old name")
		got, err = b.Accounts.UserByUsername(timeout(t), "boris")
		require.NoError(t, err)
		require.Equal(t, both[1], got, "another user")
		u.Username = "HANNAH"
		require.NoError(t, updateUser(t, b, u), "one's own name in another case is free")
	})
	s.run("the slug of a profile stays when its user is renamed", func(t *testing.T, b *storage.Backend) {
		anna := insertUsers(t, b, person("anna"))[0]
		anna.Username = "hanna"
		require.NoError(t, updateUser(t, b, anna))
		require.Equal(t, "anna", profileOf(t, b, anna).Slug)
		for _, slug := range []string{"hanna", "Anna", "ANNA"} { // slugs have a case
			_, err := b.Accounts.ProfileBySlug(timeout(t), slug)
			require.ErrorIs(t, err, accounts.ErrUserNotFound, slug)
		}
	})
	s.run("an unknown role is ErrInvalid", func(t *testing.T, b *storage.Backend) {
		anna := insertUsers(t, b, person("anna"))[0]
		anna.Role = "emperor"
		require.ErrorIs(t, updateUser(t, b, anna), core.ErrInvalid)
		odd := person("odd")
		odd.Role = ""
		require.ErrorIs(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			_, err := tx.InsertUsers(ctx, []accounts.User{odd})
			return err
		}), core.ErrInvalid)
	})
	s.run("of concurrent renames to one name a single one wins and the others are ErrUsernameTaken", func(t *testing.T, b *storage.Backend) {
		list := insertUsers(t, b, person("a"), person("b"), person("c"), person("d"), person("e"))
		errs := make(chan error, len(list))
		for i, u := range list {
			u.Username = []string{"Seat", "SEAT", "seat"}[i%3]
			go func() {
				errs <- b.Accounts.Update(context.Background(), func(ctx context.Context, tx accounts.Tx) error { return tx.UpdateUsers(ctx, u) })
			}()
		}
		won := 0
		for range list {
			if err := <-errs; err == nil {
				won++
			} else {
				require.ErrorIs(t, err, accounts.ErrUsernameTaken)
			}
		}
		require.Equal(t, 1, won)
	})
	s.run("UpdateUsers to a name of another is ErrUsernameTaken or ErrEmailTaken", func(t *testing.T, b *storage.Backend) {
		both := insertUsers(t, b, person("anna"), person("boris"))
		u := both[1]
		u.Username = "ANNA"
		require.ErrorIs(t, updateUser(t, b, u), accounts.ErrUsernameTaken)
		u = both[1]
		u.Email = "ANNA@example.org"
		require.ErrorIs(t, updateUser(t, b, u), accounts.ErrEmailTaken)
		got, err := b.Accounts.UserByUsername(timeout(t), "boris")
		require.NoError(t, err)
		require.Equal(t, both[1], got)
	})
	s.updatedTogether()
}
