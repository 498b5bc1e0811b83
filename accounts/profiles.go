package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ustat/ustat/core"
)

// PublicProfile is a profile with what the public page says of its user.
type PublicProfile struct {
	Profile
	Username string
	Name     string
	Bio      string
	Role     core.Role
	// Achievements are those that are known, in the order in which they were awarded.
	Achievements []Achieved
}

// ProfileEdit is what UpdateProfile takes. Nil fields are left as they are.
type ProfileEdit struct {
	Slug            *string   `json:"slug" validate:"omitempty,max=120"` // a slug, or what it is already
	Links           *[]Link   `json:"links" validate:"omitempty,max=10,dive"`
	Specializations *[]string `json:"specializations" validate:"omitempty,max=20,dive,slug"` // by slug
	// IfVersion makes the update fail with core.ErrVersion unless it is the stored
	// one. Zero asks nothing.
	IfVersion int64 `json:"-"`
}

// Profile returns the public page of an active user by its slug or one that it had,
// with the present one in it, or fails with ErrUserNotFound. Everyone may ask. Four statements.
func (s *Service) Profile(ctx context.Context, slug string) (PublicProfile, error) {
	ctx = core.WithOperation(ctx, "accounts.Profile")
	p, err := s.store.ProfileBySlug(ctx, slug)
	if err != nil {
		return PublicProfile{}, err
	}
	users, err := s.store.UsersByID(ctx, []core.UserID{p.UserID})
	if err != nil {
		return PublicProfile{}, err
	}
	if len(users) == 0 || !users[0].Active {
		return PublicProfile{}, ErrUserNotFound
	}
	return s.complete(ctx, s.store, public(p, users[0]))
}

// complete adds what the user of a profile has achieved.
func (s *Service) complete(ctx context.Context, r AwardReader, p PublicProfile) (PublicProfile, error) {
	err := s.withAchievements(ctx, r, &p)
	return p, err
}

func public(p Profile, u User) PublicProfile {
	return PublicProfile{Profile: p, Username: u.Username, Name: u.Name(), Bio: u.Bio, Role: u.Role}
}

// ProfileOf returns the profile of a user by username, for the user and for admins;
// it may be of a disabled user. It fails with core.ErrForbidden, and for an admin
// with ErrUserNotFound. Four statements.
func (s *Service) ProfileOf(ctx context.Context, by core.Actor, username string) (PublicProfile, error) {
	ctx = core.WithOperation(ctx, "accounts.ProfileOf")
	u, err := s.store.UserByUsername(ctx, username)
	if err := hide(by, u, err, maySeeAll); err != nil {
		return PublicProfile{}, err
	}
	p, err := s.store.ProfileOf(ctx, u.ID)
	if err != nil {
		return PublicProfile{}, err
	}
	return s.complete(ctx, s.store, public(p, u))
}

// Profiles returns a page of the profiles of active teachers, producers and admins
// by slug, of those with a specialization where one is named. Everyone may ask. It
// fails with core.ErrInvalid, where there is no such specialization too, or
// core.ErrCursor. Four statements, and one for the specialization.
func (s *Service) Profiles(ctx context.Context, specialization string, p core.Page) (Page[PublicProfile], error) {
	ctx = core.WithOperation(ctx, "accounts.Profiles")
	var q ProfileQuery
	if specialization != "" {
		found, err := s.store.SpecializationsBySlug(ctx, []string{specialization})
		if err != nil {
			return Page[PublicProfile]{}, err
		}
		if len(found) == 0 {
			return Page[PublicProfile]{}, unknownSpecialization("specialization", specialization)
		}
		q.Specialization = found[0].ID
	}
	profiles, err := core.ReadPage(s.cursors, "accounts.profiles/"+specialization, p,
		func(after string, limit int) ([]Profile, error) {
			q.After, q.Limit = after, limit
			return s.store.Profiles(ctx, q)
		},
		func(p Profile) string { return p.Slug })
	if err != nil {
		return Page[PublicProfile]{}, err
	}
	return s.withUsers(ctx, profiles)
}

func (s *Service) withUsers(ctx context.Context, profiles Page[Profile]) (Page[PublicProfile], error) {
	ids := make([]core.UserID, len(profiles.Items))
	for i, p := range profiles.Items {
		ids[i] = p.UserID
	}
	users, err := s.store.UsersByID(ctx, ids)
	if err != nil {
		return Page[PublicProfile]{}, err
	}
	byID := make(map[core.UserID]User, len(users))
	for _, u := range users {
		byID[u.ID] = u
	}
	out := Page[PublicProfile]{Items: make([]PublicProfile, len(profiles.Items)), Next: profiles.Next}
	pages := make([]*PublicProfile, len(out.Items))
	for i, p := range profiles.Items {
		out.Items[i] = public(p, byID[p.UserID])
		pages[i] = &out.Items[i]
	}
	return out, s.withAchievements(ctx, s.store, pages...)
}

// UpdateProfile changes a profile by its slug or one that it had; its user and admins
// may. A slug that it leaves stays its own, up to MaxOldSlugs. It returns the profile
// as stored, and fails with core.ErrForbidden, core.ErrInvalid, core.ErrVersion,
// ErrUserNotFound, ErrSlugTaken or ErrTooManySlugs.
func (s *Service) UpdateProfile(ctx context.Context, by core.Actor, slug string, in ProfileEdit) (PublicProfile, error) {
	ctx = core.WithOperation(ctx, "accounts.UpdateProfile")
	if by.IsAnonymous() {
		return PublicProfile{}, refusal(by)
	}
	if err := s.validate.Struct(in); err != nil {
		return PublicProfile{}, err
	}
	var updated PublicProfile
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		p, err := tx.ProfileForUpdate(ctx, slug)
		if err != nil {
			return err
		}
		users, err := tx.UsersByID(ctx, []core.UserID{p.UserID})
		if err != nil {
			return err
		}
		may := mayEdit(by, p.UserID)
		if len(users) == 0 || !may && !users[0].Active { // others see no page, as in Profile
			return ErrUserNotFound
		}
		if !may {
			return refusal(by)
		}
		if err := checkVersion(in.IfVersion, p.Version); err != nil {
			return err
		}
		next, err := in.over(ctx, tx, p)
		if err != nil {
			return err
		}
		if sameProfile(next, p) {
			updated, err = s.complete(ctx, tx, public(p, users[0]))
			return err
		}
		err = tx.UpdateProfile(ctx, next)
		if errors.Is(err, ErrSpecializationNotFound) { // deleted since it was looked up
			return core.Invalid("specializations", "unknown", "", "", "one of them is no longer there")
		}
		if err != nil {
			return err
		}
		next.Version++
		if updated, err = s.complete(ctx, tx, public(next, users[0])); err != nil {
			return err
		}
		return s.note(ctx, tx, by, "accounts.profile_updated", subjectOf(users[0]), !isSelf(by, p.UserID), map[string]any{"slug": next.Slug})
	})
	if err != nil {
		return PublicProfile{}, err
	}
	return updated, nil
}

// over returns p with the edit, or fails with all that is bad.
func (in ProfileEdit) over(ctx context.Context, r ProfileReader, p Profile) (Profile, error) {
	bad := in.checkSlug(p.Slug)
	if in.Slug != nil {
		p.Slug = *in.Slug
	}
	if in.Links != nil {
		p.Links = *in.Links
	}
	if in.Specializations != nil {
		found, err := r.SpecializationsBySlug(ctx, *in.Specializations)
		if err != nil {
			return p, err
		}
		slices.SortFunc(found, func(a, b Specialization) int { return strings.Compare(a.Slug, b.Slug) })
		p.Specializations = found
		for i, slug := range *in.Specializations {
			if !slices.ContainsFunc(found, func(x Specialization) bool { return x.Slug == slug }) {
				bad = append(bad, unknownSpecialization(fmt.Sprintf("specializations[%d]", i), slug).Violations...)
			}
		}
	}
	if len(bad) > 0 {
		return p, core.ErrInvalid.With(bad...)
	}
	return p, nil
}

// checkSlug says what is wrong with the slug, unless it is what it is already: that may
// be older than the rules.
func (in ProfileEdit) checkSlug(present string) []core.Violation {
	switch {
	case in.Slug == nil || *in.Slug == present:
		return nil
	case !core.IsSlug(*in.Slug):
		return core.Invalid("slug", "slug", "", *in.Slug, "not a slug: 1 to 120 of a-z, 0-9 and -, with a letter or digit at both ends").Violations
	case reserved[*in.Slug]:
		return core.Invalid("slug", "reserved", "", *in.Slug, "this slug is reserved").Violations
	}
	return nil
}

func unknownSpecialization(field, slug string) *core.Error {
	return core.Invalid(field, "unknown", "", slug, "there is no such specialization")
}

func sameProfile(a, b Profile) bool {
	return a.Slug == b.Slug && slices.Equal(a.Links, b.Links) && slices.Equal(a.Specializations, b.Specializations)
}

// SetRating writes what a teacher's courses are rated, in hundredths of a star; 0 is not
// at all. It is for what follows reviews: nobody's rights are asked. It fails with
// ErrUserNotFound.
func (s *Service) SetRating(ctx context.Context, user core.UserID, rating int) error {
	ctx = core.WithOperation(ctx, "accounts.SetRating")
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.SetRating(ctx, user, rating) })
}
