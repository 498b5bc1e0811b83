package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

// expect turns an error that was wanted into nil, inside an Update.
func expect(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("want %w, got: %w", want, err)
}

// profileRatings are the cases of SetRating.
func (s suite) profileRatings() {
	s.run("SetRating writes the rating of a profile and leaves its version", func(t *testing.T, b *storage.Backend) {
		both := insertUsers(t, b, person("anna"), person("boris"))
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			return errors.Join(tx.SetRating(ctx, both[0].ID, 437), expect(tx.SetRating(ctx, 404404, 437), accounts.ErrUserNotFound))
		}))
		for i, want := range []int{437, 0} {
			p, err := b.Accounts.ProfileOf(timeout(t), both[i].ID)
			require.NoError(t, err)
			require.Equal(t, []any{want, int64(1)}, []any{p.Rating, p.Version})
		}
		require.ErrorIs(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error { return tx.SetRating(ctx, both[0].ID, 501) }), core.ErrInvalid)
	})
}

func specialize(t testing.TB, b *storage.Backend, slugs ...string) []accounts.Specialization {
	t.Helper()
	list := make([]accounts.Specialization, len(slugs))
	require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) (err error) {
		for i, slug := range slugs {
			if list[i], err = tx.InsertSpecialization(ctx, accounts.Specialization{Slug: slug, Name: "Name of " + slug}); err != nil {
				return err
			}
		}
		return nil
	}))
	return list
}

func profileOf(t testing.TB, b *storage.Backend, u accounts.User) accounts.Profile {
	t.Helper()
	p, err := b.Accounts.ProfileOf(timeout(t), u.ID)
	require.NoError(t, err)
	return p
}

func updateProfile(t testing.TB, b *storage.Backend, p accounts.Profile) error {
	return change(t, b, func(ctx context.Context, tx accounts.Tx) error { return tx.UpdateProfile(ctx, p) })
}

func (s suite) profiles() {
	s.run("UpdateProfile writes slug, links and specializations and makes the version one more", func(t *testing.T, b *storage.Backend) {
		both := insertUsers(t, b, person("anna"), person("boris"))
		known := specialize(t, b, "zoology", "algebra", "music")
		other := profileOf(t, b, both[1])
		for i, text := range append(awkward, `{"a":[1]}`) {
			p := profileOf(t, b, both[0])
			p.Slug = fmt.Sprint("anna-", i)
			p.Links = []accounts.Link{{Name: text, URL: "https://example.org/" + text}, {Name: "second", URL: "https://example.org"}}
			p.Specializations = []accounts.Specialization{known[1], known[i%2*2]} // by slug: algebra, then music or zoology
			p.Rating = 500                                                        // is not written
			require.NoError(t, updateProfile(t, b, p))
			p.Version, p.Rating = p.Version+1, 0
			got, err := b.Accounts.ProfileBySlug(timeout(t), p.Slug)
			require.NoError(t, err)
			require.Equal(t, p, got)
			require.Equal(t, got, profileOf(t, b, both[0]))
		}
		p := profileOf(t, b, both[0])
		p.Links, p.Specializations = nil, nil
		require.NoError(t, updateProfile(t, b, p))
		got := profileOf(t, b, both[0])
		require.Empty(t, got.Links)
		require.Empty(t, got.Specializations)
		require.Equal(t, other, profileOf(t, b, both[1]), "another profile")
	})
	s.run("a slug that a profile had leads to it, is no other's, and can be taken back", func(t *testing.T, b *storage.Backend) {
		both := insertUsers(t, b, person("anna"), person("boris"))
		rename := func(i int, slug string) error {
			p := profileOf(t, b, both[i])
			p.Slug = slug
			return updateProfile(t, b, p)
		}
		require.NoError(t, rename(0, "anna-k"))
		require.NoError(t, rename(0, "karenina"))
		for _, slug := range []string{"anna", "anna-k", "karenina"} {
			p, err := b.Accounts.ProfileBySlug(timeout(t), slug)
			require.NoError(t, err)
			require.Equal(t, profileOf(t, b, both[0]), p)
			require.Equal(t, "karenina", p.Slug)
			require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
				locked, err := tx.ProfileForUpdate(ctx, slug)
				if err == nil && locked.Slug != "karenina" {
					err = fmt.Errorf("the slug is %s", locked.Slug)
				}
				return err
			}))
			require.ErrorIs(t, rename(1, slug), accounts.ErrSlugTaken)
		}
		u := userNow(t, b, "anna")
		require.Equal(t, "karenina", u.ProfileSlug)
		u.Username, u.ProfileSlug = "hannah", "not-written"
		require.NoError(t, updateUser(t, b, u))
		require.Equal(t, "karenina", userNow(t, b, "hannah").ProfileSlug)
		second := person("anna")
		second.Email = "second@example.org"
		second = insertUsers(t, b, second)[0]
		require.True(t, strings.HasPrefix(second.ProfileSlug, "anna-"), second.ProfileSlug)
		require.Equal(t, second, userNow(t, b, "anna"))
		require.NoError(t, rename(0, "anna"))
		require.Equal(t, "anna", profileOf(t, b, both[0]).Slug)
		require.ErrorIs(t, rename(1, "karenina"), accounts.ErrSlugTaken)
	})
	s.run("UpdateProfile to one slug too many is ErrTooManySlugs, changes nothing and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		anna := insertUsers(t, b, person("anna"))[0]
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			p, err := tx.ProfileForUpdate(ctx, "anna")
			for i := range accounts.MaxOldSlugs {
				p.Slug = fmt.Sprint("anna-", i)
				err = errors.Join(err, tx.UpdateProfile(ctx, p))
				p.Version++
			}
			p.Slug = "one-more"
			err = errors.Join(err, expect(tx.UpdateProfile(ctx, p), accounts.ErrTooManySlugs))
			p.Slug = "anna"
			return errors.Join(err, tx.UpdateProfile(ctx, p))
		}))
		require.Equal(t, "anna", profileOf(t, b, anna).Slug)
		_, err := b.Accounts.ProfileBySlug(timeout(t), "one-more")
		require.ErrorIs(t, err, accounts.ErrUserNotFound)
	})
	s.run("a slug that is left while another takes it is never the other's", func(t *testing.T, b *storage.Backend) {
		both := insertUsers(t, b, person("anna"), person("boris"))
		for i := range min(accounts.MaxOldSlugs, size(20, 8)) {
			leave, take := profileOf(t, b, both[0]), profileOf(t, b, both[1])
			take.Slug = leave.Slug
			leave.Slug = fmt.Sprint("next-", i)
			left, took := make(chan error, 1), make(chan error, 1)
			for answer, p := range map[chan error]accounts.Profile{left: leave, took: take} {
				go func() {
					answer <- b.Accounts.Update(context.Background(), func(ctx context.Context, tx accounts.Tx) error { return tx.UpdateProfile(ctx, p) })
				}()
			}
			require.NoError(t, <-left)
			require.ErrorIs(t, <-took, accounts.ErrSlugTaken)
		}
	})
	s.run("a missing profile is ErrUserNotFound", func(t *testing.T, b *storage.Backend) {
		_, err := b.Accounts.ProfileOf(timeout(t), 404)
		require.ErrorIs(t, err, accounts.ErrUserNotFound)
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			for _, slug := range []string{"nobody", "a\x00b", "a\xffb"} {
				if _, err := tx.ProfileForUpdate(ctx, slug); !errors.Is(err, accounts.ErrUserNotFound) {
					return fmt.Errorf("ProfileForUpdate(%q): %w", slug, err)
				}
			}
			return expect(tx.UpdateProfile(ctx, accounts.Profile{UserID: 404, Slug: "x", Version: 1}), accounts.ErrUserNotFound)
		}))
	})
	s.run("UpdateProfile to a taken slug, an old version or a missing specialization fails and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		both := insertUsers(t, b, person("anna"), person("boris"))
		anna := profileOf(t, b, both[0])
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			taken, stale, missing := anna, anna, anna
			taken.Slug = "boris"
			stale.Version, stale.Slug = 7, "stale"
			missing.Specializations, missing.Slug = []accounts.Specialization{{ID: 404}}, "missing"
			return errors.Join(
				expect(tx.UpdateProfile(ctx, taken), accounts.ErrSlugTaken),
				expect(tx.UpdateProfile(ctx, stale), core.ErrVersion),
				expect(tx.UpdateProfile(ctx, missing), accounts.ErrSpecializationNotFound),
			)
		}))
		require.Equal(t, anna, profileOf(t, b, both[0]))
		for _, bad := range []string{"a\x00b", "a\xffb"} {
			p := anna
			p.Slug = bad
			require.ErrorIs(t, updateProfile(t, b, p), core.ErrInvalid)
			p = anna
			p.Links = []accounts.Link{{Name: bad, URL: "https://example.org"}}
			require.ErrorIs(t, updateProfile(t, b, p), core.ErrInvalid)
		}
	})
	s.run("of concurrent updates to one slug a single one wins and the others are ErrSlugTaken", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("a"), person("b"), person("c"), person("d"))
		errs := make(chan error, len(users))
		for _, u := range users {
			p := profileOf(t, b, u)
			p.Slug = "seat"
			go func() {
				errs <- b.Accounts.Update(context.Background(), func(ctx context.Context, tx accounts.Tx) error { return tx.UpdateProfile(ctx, p) })
			}()
		}
		won := 0
		for range users {
			if err := <-errs; err == nil {
				won++
			} else {
				require.ErrorIs(t, err, accounts.ErrSlugTaken)
			}
		}
		require.Equal(t, 1, won)
	})
	s.run("a profile read for update stays as it is until the end of the transaction", func(t *testing.T, b *storage.Backend) {
		anna := insertUsers(t, b, person("anna"))[0]
		const workers = 6
		each := size(20, 5)
		counted(t, workers, each, func() error {
			return change(t, b, func(ctx context.Context, tx accounts.Tx) error {
				p, err := tx.ProfileForUpdate(ctx, "anna")
				if err != nil {
					return err
				}
				p.Links = append(p.Links, accounts.Link{Name: "x", URL: "https://example.org"})
				return tx.UpdateProfile(ctx, p)
			})
		})
		require.Len(t, profileOf(t, b, anna).Links, workers*each, "an update was lost")
	})
	s.profileLists()
	s.specializations()
}

func (s suite) profileLists() {
	s.run("Profiles returns those of active users who are at least teachers, by slug, by at most two statements", func(t *testing.T, b *storage.Backend) {
		random := random(t)
		n := size(300, 80)
		users := make([]accounts.User, n)
		for i, k := range random.Perm(n) {
			users[i] = person(fmt.Sprintf("u%03d", k))
			users[i].Role, users[i].Active = core.Roles[random.IntN(len(core.Roles))], random.IntN(4) > 0
		}
		users = insertUsers(t, b, users...)
		known := specialize(t, b, "algebra", "biology", "chemistry")
		for i := range users {
			if i%3 == 0 { // what a profile's place depends on changes after it is there
				u := users[i]
				u.Role, u.Active = core.Roles[random.IntN(len(core.Roles))], random.IntN(2) > 0
				require.NoError(t, updateUser(t, b, u))
				u.Version++
				users[i] = u
			}
			p := profileOf(t, b, users[i])
			if i%7 == 0 {
				p.Slug = "z-" + p.Slug
			}
			for _, x := range known {
				if random.IntN(2) == 0 {
					p.Specializations = append(p.Specializations, x)
				}
			}
			require.NoError(t, updateProfile(t, b, p))
		}
		for _, x := range append(known, accounts.Specialization{}, accounts.Specialization{ID: 404}) {
			var want []accounts.Profile
			for _, u := range users {
				p := profileOf(t, b, u)
				if u.Active && u.Role.Rank() >= core.Teacher.Rank() && (x.ID == 0 || slices.Contains(p.Specializations, x)) {
					want = append(want, p)
				}
			}
			slices.SortFunc(want, func(a, b accounts.Profile) int { return strings.Compare(a.Slug, b.Slug) })
			var got []accounts.Profile
			for q := (accounts.ProfileQuery{Specialization: x.ID, Limit: 9}); ; q.After = got[len(got)-1].Slug {
				ctx, queries := storage.CountQueries(timeout(t))
				page, err := b.Accounts.Profiles(ctx, q)
				require.NoError(t, err)
				require.LessOrEqual(t, queries.Count(), 2)
				require.LessOrEqual(t, len(page), q.Limit)
				if got = append(got, page...); len(page) < q.Limit {
					break
				}
			}
			require.Equal(t, want, got, x.Slug)
		}
	})
}

func (s suite) specializations() {
	s.run("Specializations returns up to limit by slug, after the one given", func(t *testing.T, b *storage.Backend) {
		list := specialize(t, b, "delta", "alpha", "echo", "bravo", "charlie")
		slices.SortFunc(list, func(a, b accounts.Specialization) int { return strings.Compare(a.Slug, b.Slug) })
		for after := range list {
			got, err := b.Accounts.Specializations(timeout(t), list[after].Slug, 2)
			require.NoError(t, err)
			require.Equal(t, list[after+1:min(after+3, len(list))], append([]accounts.Specialization{}, got...))
		}
		got, err := b.Accounts.SpecializationsBySlug(timeout(t), []string{"echo", "nothing", "alpha", "a\x00b"})
		require.NoError(t, err)
		require.ElementsMatch(t, []accounts.Specialization{list[0], list[4]}, got)
		got, err = b.Accounts.SpecializationsBySlug(timeout(t), nil)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	s.run("a taken slug of a specialization is ErrSlugTaken, a missing one ErrSpecializationNotFound, and the Tx stays usable", func(t *testing.T, b *storage.Backend) {
		list := specialize(t, b, "algebra", "biology")
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			_, err := tx.InsertSpecialization(ctx, accounts.Specialization{Slug: "algebra", Name: "twin"})
			return errors.Join(
				expect(err, accounts.ErrSlugTaken),
				expect(tx.UpdateSpecialization(ctx, accounts.Specialization{ID: list[1].ID, Slug: "algebra"}), accounts.ErrSlugTaken),
				expect(tx.UpdateSpecialization(ctx, accounts.Specialization{ID: 404, Slug: "free"}), accounts.ErrSpecializationNotFound),
				expect(tx.DeleteSpecialization(ctx, 404), accounts.ErrSpecializationNotFound),
				tx.UpdateSpecialization(ctx, accounts.Specialization{ID: list[0].ID, Slug: "algebra", Name: "Алгебра"}),
			)
		}))
		got, err := b.Accounts.Specializations(timeout(t), "", 10)
		require.NoError(t, err)
		list[0].Name = "Алгебра"
		require.Equal(t, list, got)
	})
	s.run("DeleteSpecialization of one that a profile has is ErrInUse and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		p := profileOf(t, b, insertUsers(t, b, person("anna"))[0])
		list := specialize(t, b, "algebra", "biology")
		p.Specializations = list[:1]
		require.NoError(t, updateProfile(t, b, p))
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			return errors.Join(expect(tx.DeleteSpecialization(ctx, list[0].ID), accounts.ErrInUse), tx.DeleteSpecialization(ctx, list[1].ID))
		}))
		got, err := b.Accounts.Specializations(timeout(t), "", 10)
		require.NoError(t, err)
		require.Equal(t, list[:1], got)
	})
	s.run("a specialization that is deleted while a profile takes it is in the profile, or gone", func(t *testing.T, b *storage.Backend) {
		anna := insertUsers(t, b, person("anna"))[0]
		for i := range size(40, 10) {
			x := specialize(t, b, fmt.Sprint("x", i))[0]
			p := profileOf(t, b, anna)
			p.Specializations = []accounts.Specialization{x}
			took, deleted := make(chan error, 1), make(chan error, 1)
			go func() {
				took <- b.Accounts.Update(context.Background(), func(ctx context.Context, tx accounts.Tx) error { return tx.UpdateProfile(ctx, p) })
			}()
			go func() {
				deleted <- b.Accounts.Update(context.Background(), func(ctx context.Context, tx accounts.Tx) error {
					return tx.DeleteSpecialization(ctx, x.ID)
				})
			}()
			if err := <-took; err == nil {
				require.ErrorIs(t, <-deleted, accounts.ErrInUse)
			} else {
				require.ErrorIs(t, err, accounts.ErrSpecializationNotFound)
				require.NoError(t, <-deleted)
			}
		}
	})
}

func (s suite) teachers() {
	s.run("TeachersOf returns the ids of the linked teachers, in order, by one statement", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("p"), person("q"), person("a"), person("b"), person("c"))
		link := func(producer, teacher int, want bool) {
			t.Helper()
			require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
				added, err := tx.LinkTeacher(ctx, users[producer].ID, users[teacher].ID, day)
				if err == nil && added != want {
					err = fmt.Errorf("added is %v", added)
				}
				return err
			}))
		}
		teachers := func(producer int, want ...int) {
			t.Helper()
			ctx, queries := storage.CountQueries(timeout(t))
			got, err := b.Accounts.TeachersOf(ctx, users[producer].ID)
			require.NoError(t, err)
			require.LessOrEqual(t, queries.Count(), 1)
			ids := []core.UserID{}
			for _, i := range want {
				ids = append(ids, users[i].ID)
			}
			require.Equal(t, ids, append([]core.UserID{}, got...))
		}
		link(0, 4, true)
		link(0, 2, true)
		link(0, 2, false) // it is there
		link(1, 2, true)
		link(1, 3, true)
		teachers(0, 2, 4)
		teachers(1, 2, 3)
		teachers(2)
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			for _, want := range []bool{true, false} {
				if removed, err := tx.UnlinkTeacher(ctx, users[0].ID, users[4].ID); err != nil || removed != want {
					return fmt.Errorf("removed is %v: %w", removed, err)
				}
			}
			return nil
		}))
		teachers(0, 2)
	})
	s.run("UnlinkAll removes every link of the users, on either side", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("p"), person("q"), person("a"), person("r"))
		p, q, a, r := users[0].ID, users[1].ID, users[2].ID, users[3].ID
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			for _, pair := range [][2]core.UserID{{p, a}, {q, a}, {q, p}, {r, a}} {
				if _, err := tx.LinkTeacher(ctx, pair[0], pair[1], day); err != nil {
					return err
				}
			}
			return errors.Join(tx.UnlinkAll(ctx, p, r), tx.UnlinkAll(ctx))
		}))
		left, err := b.Accounts.TeachersOf(timeout(t), p)
		require.NoError(t, err)
		require.Empty(t, left)
		left, err = b.Accounts.TeachersOf(timeout(t), r)
		require.NoError(t, err)
		require.Empty(t, left)
		left, err = b.Accounts.TeachersOf(timeout(t), q)
		require.NoError(t, err)
		require.Equal(t, []core.UserID{a}, left)
	})
}
