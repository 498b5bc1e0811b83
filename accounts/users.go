package accounts

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ustat/ustat/core"
)

// NewUser is what CreateUser takes. The username may be one that nobody can register,
// such as admin; "me", which stands for the caller in paths, is no username.
type NewUser struct {
	Username string    `json:"username" validate:"required,username"`
	Email    string    `json:"email" validate:"required,email,max=254"`
	Role     core.Role `json:"role" validate:"required,role"`
	FullName string    `json:"full_name" validate:"max=200,line"`
	Bio      string    `json:"bio" validate:"max=5000,text"`
	// Password may be empty: then the user cannot sign in.
	Password core.Secret `json:"password" validate:"omitempty,password"`
}

// UserEdit is what UpdateUser takes. Nil fields are left as they are.
type UserEdit struct {
	FullName *string `json:"full_name" validate:"omitempty,max=200,line"`
	Bio      *string `json:"bio" validate:"omitempty,max=5000,text"`
	Email    *string `json:"email" validate:"omitempty,email,max=254"`
	Phone    *string `json:"phone" validate:"omitempty,phone"` // "" removes it
	// Language is a tag of BCP 47, in which the user is answered; "" removes it.
	Language *string `json:"language" validate:"omitempty,max=35,eq=|bcp47_language_tag"`
	// IfVersion makes the update fail with core.ErrVersion unless it is the stored
	// one. Zero asks nothing.
	IfVersion int64 `json:"-"`
}

// UserFilter limits Users. A zero field is no condition.
type UserFilter struct {
	Role   core.Role
	Active *bool
}

// UserByUsername returns a user by username. Names are public: everyone may ask,
// and transports show strangers nothing else. It fails with ErrUserNotFound.
func (s *Service) UserByUsername(ctx context.Context, username string) (User, error) {
	return s.store.UserByUsername(core.WithOperation(ctx, "accounts.UserByUsername"), username)
}

// UsersByID returns those of the users that exist, by one statement.
func (s *Service) UsersByID(ctx context.Context, ids []core.UserID) ([]User, error) {
	return s.store.UsersByID(ctx, ids)
}

// NamesByID returns the names of those of the users that exist, in any order, by one
// statement. It is for the other domains: it asks nobody's rights.
func (s *Service) NamesByID(ctx context.Context, ids []core.UserID) ([]Name, error) {
	return s.store.NamesByID(ctx, ids)
}

// User returns all of a user, for the user and for admins. For others it fails
// with core.ErrForbidden, whether there is such a user or not; for an admin with
// ErrUserNotFound. One statement.
func (s *Service) User(ctx context.Context, by core.Actor, username string) (User, error) {
	ctx = core.WithOperation(ctx, "accounts.User")
	u, err := s.store.UserByUsername(ctx, username)
	return u, hide(by, u, err, maySeeAll)
}

// hide makes the errors of a missing user and of one that the actor may not reach
// the same.
func hide(by core.Actor, u User, err error, may func(core.Actor, core.UserID) bool) error {
	switch {
	case errors.Is(err, ErrUserNotFound) && !by.IsAdmin():
		return refusal(by)
	case err == nil && !may(by, u.ID):
		return refusal(by)
	}
	return err
}

// Users returns a page of users by username. Only an admin may ask. It fails with
// core.ErrForbidden, core.ErrInvalid or core.ErrCursor. One statement.
func (s *Service) Users(ctx context.Context, by core.Actor, f UserFilter, p core.Page) (Page[User], error) {
	ctx = core.WithOperation(ctx, "accounts.Users")
	if !mayManage(by) {
		return Page[User]{}, refusal(by)
	}
	if f.Role != "" && f.Role.Rank() < 1 {
		return Page[User]{}, core.Invalid("role", "role", "", string(f.Role), "there is no such role")
	}
	list := "accounts.users/" + string(f.Role)
	if f.Active != nil {
		list += fmt.Sprint("/", *f.Active)
	}
	return core.ReadPage(s.cursors, list, p,
		func(after string, limit int) ([]User, error) {
			return s.store.Users(ctx, UserQuery{Role: f.Role, Active: f.Active, After: after, Limit: limit})
		},
		func(u User) string { return core.Fold(u.Username) })
}

// CreateUser adds a user with any role, under a name that Register reserves too (see
// NewUser). Only an admin may; the operator's
// commands act as [System]. It fails with core.ErrForbidden, core.ErrInvalid,
// ErrUsernameTaken or ErrEmailTaken, and leaves an audit row.
func (s *Service) CreateUser(ctx context.Context, by core.Actor, in NewUser) (User, error) {
	ctx = core.WithOperation(ctx, "accounts.CreateUser")
	if !mayManage(by) {
		return User{}, refusal(by)
	}
	in.Username, in.Email = cleanUsername(in.Username), strings.TrimSpace(in.Email)
	if err := s.validate.Struct(in); err != nil {
		return User{}, err
	}
	var hash string
	if in.Password != "" {
		var err error
		if hash, err = s.hasher.Hash(ctx, in.Password); err != nil {
			return User{}, err
		}
	}
	now := s.clock.Now()
	var created User
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		users, err := tx.InsertUsers(ctx, []User{{
			Username: in.Username, Email: in.Email, Role: in.Role, FullName: in.FullName, Bio: in.Bio,
			PasswordHash: hash, Active: true, CreatedAt: now, UpdatedAt: now,
		}})
		if err != nil {
			return err
		}
		created = users[0]
		return s.note(ctx, tx, by, "accounts.user_created", subjectOf(created), true, map[string]any{"role": in.Role})
	})
	if err != nil {
		return User{}, err
	}
	return created, nil
}

func cleanUsername(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// UpdateUser changes what a user says about themselves; the user and admins may.
// Another e-mail address is not verified. It returns the user as stored, and fails
// with core.ErrForbidden, core.ErrInvalid, core.ErrVersion or ErrEmailTaken, and
// for an admin with ErrUserNotFound.
func (s *Service) UpdateUser(ctx context.Context, by core.Actor, username string, in UserEdit) (User, error) {
	ctx = core.WithOperation(ctx, "accounts.UpdateUser")
	if by.IsAnonymous() {
		return User{}, refusal(by)
	}
	if in.Email != nil {
		email := strings.TrimSpace(*in.Email)
		in.Email = &email
	}
	if err := s.validate.Struct(in); err != nil {
		return User{}, err
	}
	if in.Language != nil && *in.Language != "" {
		tag, _ := core.LanguageTag(*in.Language)
		in.Language = &tag
	}
	var updated User
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		u, err := lockUser(ctx, tx, username)
		if err := hide(by, u, err, mayEdit); err != nil {
			return err
		}
		if err := checkVersion(in.IfVersion, u.Version); err != nil {
			return err
		}
		next, changed := in.over(u)
		if updated = next; len(changed) == 0 {
			return nil
		}
		next.UpdatedAt = s.clock.Now()
		if err := tx.UpdateUsers(ctx, next); err != nil {
			return err
		}
		next.Version++
		updated = next
		return s.note(ctx, tx, by, "accounts.user_updated", subjectOf(u), !isSelf(by, u.ID), map[string]any{"fields": changed})
	})
	if err != nil {
		return User{}, err
	}
	return updated, nil
}

// over returns u with the edit, and the names of the fields that differ.
func (in UserEdit) over(u User) (next User, changed []string) {
	next = u
	for _, f := range []struct {
		name string
		from *string
		to   *string
	}{
		{"full_name", in.FullName, &next.FullName},
		{"bio", in.Bio, &next.Bio},
		{"email", in.Email, &next.Email},
		{"phone", in.Phone, &next.Phone},
		{"language", in.Language, &next.Language},
	} {
		if f.from != nil && *f.from != *f.to {
			*f.to = *f.from
			changed = append(changed, f.name)
		}
	}
	if next.Email != u.Email {
		next.EmailVerified = false
	}
	return next, changed
}
