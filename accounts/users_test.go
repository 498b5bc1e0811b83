package accounts_test

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

func ptr[T any](v T) *T { return &v }

func TestUsersAreSeenAndEditedByThemselvesAndAdmins(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		admin, anna, boris := w.add(t, "boss", core.Admin), w.add(t, "anna", core.Teacher), w.add(t, "boris", core.Producer)
		for _, name := range []string{"anna", "nobody"} { // alike
			_, err := w.User(ctx, boris, name)
			require.ErrorIs(t, err, core.ErrForbidden)
			_, err = w.UpdateUser(ctx, boris, name, accounts.UserEdit{Bio: ptr("x")})
			require.ErrorIs(t, err, core.ErrForbidden)
			_, err = w.User(ctx, core.Actor{}, name)
			require.ErrorIs(t, err, core.ErrUnauthenticated)
			_, err = w.UpdateUser(ctx, core.Actor{}, name, accounts.UserEdit{Bio: ptr("x")})
			require.ErrorIs(t, err, core.ErrUnauthenticated)
		}
		_, err := w.User(ctx, admin, "nobody")
		require.ErrorIs(t, err, accounts.ErrUserNotFound)
		u, err := w.User(ctx, anna, "Anna")
		require.NoError(t, err)
		require.Equal(t, "anna@example.org", u.Email)

		got, err := w.UpdateUser(ctx, anna, "anna", accounts.UserEdit{FullName: ptr("Анна"), Bio: ptr("bio\nof two lines"), Phone: ptr("+77011234567"), Email: ptr(" new@example.org "), IfVersion: u.Version})
		require.NoError(t, err)
		want := u
		want.FullName, want.Bio, want.Phone, want.Email, want.Version = "Анна", "bio\nof two lines", "+77011234567", "new@example.org", u.Version+1
		require.Equal(t, want, got)
		require.Equal(t, want, w.user(t, "anna"))
		require.Zero(t, w.audits(t, "accounts.user_updated"), "one's own")
		require.Equal(t, 1, w.events(t, "accounts.user_updated"))

		_, err = w.UpdateUser(ctx, anna, "anna", accounts.UserEdit{Bio: ptr("x"), IfVersion: u.Version})
		require.ErrorIs(t, err, core.ErrVersion)
		got, err = w.UpdateUser(ctx, anna, "anna", accounts.UserEdit{Bio: ptr(want.Bio)})
		require.NoError(t, err)
		require.Equal(t, want, got, "nothing changes")
		_, err = w.UpdateUser(ctx, anna, "anna", accounts.UserEdit{Email: ptr("BORIS@example.org")})
		require.ErrorIs(t, err, accounts.ErrEmailTaken)
		got, err = w.UpdateUser(ctx, admin, "anna", accounts.UserEdit{Phone: ptr("")})
		require.NoError(t, err)
		require.Empty(t, got.Phone)
		require.Equal(t, 1, w.audits(t, "accounts.user_updated"))

		for _, bad := range []accounts.UserEdit{
			{FullName: ptr(strings.Repeat("x", 201))},
			{FullName: ptr("a\tb")},
			{Bio: ptr("a\x00")},
			{Bio: ptr(strings.Repeat("x", 5001))},
			{Email: ptr("")},
			{Email: ptr("no")},
			{Phone: ptr("87011234567")},
			{Phone: ptr("+7 701 123 45 67")},
			{Phone: ptr("+0123456789")},
			{Phone: ptr("+1234567890123456")},
		} {
			_, err = w.UpdateUser(ctx, anna, "anna", bad)
			require.ErrorIs(t, err, core.ErrInvalid, "%v", bad)
		}
	})
}

func TestAnotherEmailIsNotVerified(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	anna := w.add(t, "anna", core.Student)
	u := w.user(t, "anna")
	u.EmailVerified = true
	require.NoError(t, w.backend.Accounts.Update(t.Context(), func(ctx context.Context, tx accounts.Tx) error { return tx.UpdateUsers(ctx, u) }))
	got, err := w.UpdateUser(t.Context(), anna, "anna", accounts.UserEdit{Bio: ptr("x")})
	require.NoError(t, err)
	require.True(t, got.EmailVerified)
	got, err = w.UpdateUser(t.Context(), anna, "anna", accounts.UserEdit{Email: ptr("other@example.org")})
	require.NoError(t, err)
	require.False(t, got.EmailVerified)
}

func TestUsersAreListedForAdmins(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		admin := w.add(t, "boss", core.Admin)
		for i := range 25 {
			w.add(t, fmt.Sprintf("user-%02d", i), []core.Role{core.Student, core.Teacher}[i%2])
		}
		_, err := w.SetActive(t.Context(), admin, "user-03", false)
		require.NoError(t, err)
		for _, by := range []core.Actor{{}, {UserID: 2, Role: core.Producer}} {
			_, err := w.Users(t.Context(), by, accounts.UserFilter{}, core.Page{})
			require.Error(t, err)
		}
		var names []string
		filter, p := accounts.UserFilter{Role: core.Teacher, Active: ptr(true)}, core.Page{Limit: 5}
		for {
			ctx, queries := storage.CountQueries(t.Context())
			got, err := w.Users(ctx, admin, filter, p)
			require.NoError(t, err)
			require.Equal(t, 1, queries.Count())
			for _, u := range got.Items {
				names = append(names, u.Username)
			}
			if p.Cursor = got.Next; p.Cursor == "" {
				break
			}
			_, err = w.Users(t.Context(), admin, accounts.UserFilter{Role: core.Teacher}, p)
			require.ErrorIs(t, err, core.ErrCursor, "of another list")
		}
		require.Equal(t, []string{"user-01", "user-05", "user-07", "user-09", "user-11", "user-13", "user-15", "user-17", "user-19", "user-21", "user-23"}, names)
		_, err = w.Users(t.Context(), admin, accounts.UserFilter{Role: "emperor"}, core.Page{})
		require.ErrorIs(t, err, core.ErrInvalid)
	})
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		admin, anna, boris := w.add(t, "boss", core.Admin), w.add(t, "anna", core.Teacher), w.add(t, "boris", core.Teacher)
		w.add(t, "student", core.Student)
		for _, slug := range []string{"algebra", "music"} {
			_, err := w.CreateSpecialization(ctx, anna, accounts.NewSpecialization{Slug: slug, Name: slug})
			require.ErrorIs(t, err, core.ErrForbidden)
			_, err = w.CreateSpecialization(ctx, admin, accounts.NewSpecialization{Slug: slug, Name: slug})
			require.NoError(t, err)
		}
		_, err := w.CreateSpecialization(ctx, admin, accounts.NewSpecialization{Slug: "music", Name: "x"})
		require.ErrorIs(t, err, accounts.ErrSlugTaken)

		p, err := w.Profile(ctx, "anna")
		require.NoError(t, err)
		links := []accounts.Link{{Name: "Site", URL: "https://example.org/anna"}}
		got, err := w.UpdateProfile(ctx, anna, "anna", accounts.ProfileEdit{Slug: ptr("anna-k"), Links: &links, Specializations: ptr([]string{"music", "algebra", "music"}), IfVersion: p.Version})
		require.NoError(t, err)
		require.Equal(t, "anna-k", got.Slug)
		require.Equal(t, []string{"algebra", "music"}, []string{got.Specializations[0].Slug, got.Specializations[1].Slug})
		stored, err := w.Profile(ctx, "anna-k")
		require.NoError(t, err)
		require.Equal(t, got, stored)
		stored, err = w.Profile(ctx, "anna")
		require.NoError(t, err, "the slug that it had")
		require.Equal(t, got, stored)
		require.Equal(t, "anna-k", w.user(t, "anna").ProfileSlug)
		_, err = w.UpdateProfile(ctx, boris, "boris", accounts.ProfileEdit{Slug: ptr("anna")})
		require.ErrorIs(t, err, accounts.ErrSlugTaken)
		again, err := w.UpdateProfile(ctx, anna, "anna-k", accounts.ProfileEdit{Links: &links})
		require.NoError(t, err)
		require.Equal(t, got, again, "nothing changes")

		for by, want := range map[core.Actor]error{boris: core.ErrForbidden, {}: core.ErrUnauthenticated} {
			_, err = w.UpdateProfile(ctx, by, "anna-k", accounts.ProfileEdit{Slug: ptr("x")})
			require.ErrorIs(t, err, want)
		}
		_, err = w.UpdateProfile(ctx, anna, "anna-k", accounts.ProfileEdit{Slug: ptr("boris")})
		require.ErrorIs(t, err, accounts.ErrSlugTaken)
		_, err = w.UpdateProfile(ctx, anna, "anna-k", accounts.ProfileEdit{Specializations: ptr([]string{"music", "nothing", "algebra", "none"})})
		require.ErrorIs(t, err, core.ErrInvalid)
		require.Equal(t, []string{"specializations[1]", "specializations[3]"}, fields(err))
		_, err = w.UpdateProfile(ctx, anna, "anna-k", accounts.ProfileEdit{Slug: ptr("x"), IfVersion: p.Version})
		require.ErrorIs(t, err, core.ErrVersion)
		for _, bad := range []accounts.ProfileEdit{
			{Slug: ptr("")},
			{Slug: ptr("No")},
			{Slug: ptr("admin")},
			{Links: ptr(make([]accounts.Link, 11))},
			{Links: ptr([]accounts.Link{{Name: "x", URL: "http://example.org"}})},
			{Links: ptr([]accounts.Link{{Name: "x", URL: "javascript:alert(1)"}})},
			{Links: ptr([]accounts.Link{{Name: "x", URL: "https://user:pw@example.org"}})},
			{Links: ptr([]accounts.Link{{URL: "https://example.org"}})},
			{Specializations: ptr([]string{"No"})},
		} {
			_, err = w.UpdateProfile(ctx, anna, "anna-k", bad)
			require.ErrorIs(t, err, core.ErrInvalid, "%v", bad)
		}
		_, err = w.UpdateProfile(ctx, admin, "boris", accounts.ProfileEdit{Links: &links})
		require.NoError(t, err)
		require.Equal(t, 1, w.audits(t, "accounts.profile_updated"), "an admin's hand")

		slugs := func(specialization string) (out []string) {
			t.Helper()
			counted, queries := storage.CountQueries(ctx)
			for p := (core.Page{Limit: 2}); ; {
				page, err := w.Profiles(counted, specialization, p)
				require.NoError(t, err)
				for _, x := range page.Items {
					out = append(out, x.Slug)
				}
				if p.Cursor = page.Next; p.Cursor == "" {
					break
				}
			}
			require.LessOrEqual(t, queries.Count(), 2*4)
			return out
		}
		require.Equal(t, []string{"anna-k", "boris", "boss"}, slugs(""))
		require.Equal(t, []string{"anna-k"}, slugs("music"))
		_, err = w.Profiles(ctx, "nothing", core.Page{})
		require.ErrorIs(t, err, core.ErrInvalid)
		require.Equal(t, []string{"specialization"}, fields(err))
		require.ErrorIs(t, w.DeleteSpecialization(ctx, admin, "music"), accounts.ErrInUse)
		renamed, err := w.UpdateSpecialization(ctx, admin, "music", accounts.SpecializationEdit{Slug: ptr("musique")})
		require.NoError(t, err)
		require.Equal(t, "musique", renamed.Slug)

		_, err = w.SetActive(ctx, admin, "anna", false)
		require.NoError(t, err)
		_, err = w.Profile(ctx, "anna-k")
		require.ErrorIs(t, err, accounts.ErrUserNotFound, "of a disabled user")
		_, err = w.UpdateProfile(ctx, boris, "anna-k", accounts.ProfileEdit{})
		require.ErrorIs(t, err, accounts.ErrUserNotFound, "for strangers there is none")
		_, err = w.UpdateProfile(ctx, boris, "nobody", accounts.ProfileEdit{})
		require.ErrorIs(t, err, accounts.ErrUserNotFound)
		_, err = w.UpdateProfile(ctx, admin, "anna-k", accounts.ProfileEdit{Links: &links})
		require.NoError(t, err)
		require.Equal(t, []string{"boris", "boss"}, slugs(""))
		mine, err := w.ProfileOf(ctx, admin, "anna")
		require.NoError(t, err)
		require.Equal(t, "anna-k", mine.Slug)
		_, err = w.ProfileOf(ctx, boris, "anna")
		require.ErrorIs(t, err, core.ErrForbidden)
		page, err := w.Specializations(ctx, core.Page{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, "algebra", page.Items[0].Slug)
		require.NotEmpty(t, page.Next)
	})
}

func TestEverySlugOfANewProfileCanBeWrittenBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		for i, name := range []string{"ann_b.c1", "ann-b.c1", "me_", "root.", "0--", strings.Repeat("a.", 32)} {
			u, err := w.CreateUser(t.Context(), accounts.System, accounts.NewUser{Username: name, Email: fmt.Sprintf("u%d@example.org", i), Role: core.Teacher})
			require.NoError(t, err)
			by, slug := core.Actor{UserID: u.ID, Role: u.Role}, u.ProfileSlug
			p, err := w.Profile(t.Context(), slug)
			require.NoError(t, err)
			got, err := w.UpdateProfile(t.Context(), by, slug, accounts.ProfileEdit{Slug: &slug, Links: &p.Links})
			require.NoError(t, err, "%q of %q", slug, name)
			require.Equal(t, p, got)
		}
	})
}

func TestNamesThatAreRefusedNameTheirField(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		anna := w.add(t, "anna", core.Teacher)
		w.add(t, "boris", core.Teacher)
		create := func(username, email string) error {
			_, err := w.CreateUser(t.Context(), accounts.System, accounts.NewUser{Username: username, Email: email, Role: core.Student})
			return err
		}
		require.Equal(t, []string{"username"}, fields(create("anna", "new@example.org")))
		require.Equal(t, []string{"email"}, fields(create("new", "anna@example.org")))
		_, err := w.UpdateUser(t.Context(), anna, "anna", accounts.UserEdit{Email: ptr("boris@example.org")})
		require.Equal(t, []string{"email"}, fields(err))
		_, err = w.UpdateProfile(t.Context(), anna, "anna", accounts.ProfileEdit{Slug: ptr("boris")})
		require.Equal(t, []string{"slug"}, fields(err))
		err = w.ChangePassword(t.Context(), anna, accounts.PasswordChange{Old: "something else", New: "battery staple"}, home)
		require.ErrorIs(t, err, accounts.ErrWrongPassword)
		require.Equal(t, []string{"old_password"}, fields(err))
	})
}

func TestReservedNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	for _, name := range []string{"me", "admin", "root", "system"} {
		_, err := w.Register(t.Context(), accounts.Registration{Username: name, Email: "a@example.org", Password: secret}, home)
		require.Equal(t, []string{"username"}, fields(err), name)
		u, err := w.CreateUser(t.Context(), accounts.System, accounts.NewUser{Username: name, Email: name + "@example.org", Role: core.Admin})
		if name == "me" { // which stands for the caller in paths
			require.Equal(t, []string{"username"}, fields(err))
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, name+"-1", u.ProfileSlug)
	}
}

// fields returns the fields that an error names.
func fields(err error) (names []string) {
	if e, ok := errors.AsType[*core.Error](err); ok {
		for _, v := range e.Violations {
			names = append(names, v.Field)
		}
	}
	return names
}

// Slugs that profiles have since before the rules keep them.
func TestAnUnchangedSlugOfAProfileIsNeverRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		anna := w.add(t, "anna", core.Teacher)
		for _, old := range []string{"anna_k.x", "me"} {
			require.NoError(t, w.backend.Accounts.Update(t.Context(), func(ctx context.Context, tx accounts.Tx) error {
				p, err := tx.ProfileOf(ctx, anna.UserID)
				if err != nil {
					return err
				}
				p.Slug = old
				return tx.UpdateProfile(ctx, p)
			}))
			links := []accounts.Link{{Name: "Site of " + old, URL: "https://example.org/"}}
			got, err := w.UpdateProfile(t.Context(), anna, old, accounts.ProfileEdit{Slug: &old, Links: &links})
			require.NoError(t, err)
			require.Equal(t, old, got.Slug)
			require.Equal(t, links, got.Links)
			for _, bad := range []string{"anna_x", "admin", "", "-"} {
				_, err = w.UpdateProfile(t.Context(), anna, old, accounts.ProfileEdit{Slug: &bad, Specializations: ptr([]string{"none"})})
				require.ErrorIs(t, err, core.ErrInvalid)
				var e *core.Error
				require.ErrorAs(t, err, &e)
				require.Len(t, e.Violations, 2, "both are named")
				require.Equal(t, "slug", e.Violations[0].Field)
			}
		}
	})
}
