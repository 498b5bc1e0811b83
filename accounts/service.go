package accounts

import (
	"context"
	"strings"

	"github.com/ustat/ustat/core"
)

// Service holds the rules of accounts. It is safe for concurrent use.
type Service struct {
	store    Store
	validate *core.Validator
	clock    core.Clock
}

// NewService returns a Service over store.
func NewService(store Store, validate *core.Validator, clock core.Clock) *Service {
	return &Service{store, validate, clock}
}

// NewUser is what CreateUser takes.
type NewUser struct {
	Username string    `json:"username" validate:"required,username"`
	Email    string    `json:"email" validate:"required,email,max=254"`
	Role     core.Role `json:"role" validate:"required,role"`
	FullName string    `json:"full_name" validate:"max=200,text"`
	Bio      string    `json:"bio" validate:"max=5000,text"`
}

// Check returns nil, or a core.ErrInvalid naming every bad field.
func (n NewUser) Check(v *core.Validator) error { return v.Struct(n) }

// UserByUsername returns a user by username. Names are public: everyone may ask.
// It fails with ErrUserNotFound.
func (s *Service) UserByUsername(ctx context.Context, username string) (User, error) {
	return s.store.UserByUsername(core.WithOperation(ctx, "accounts.UserByUsername"), username)
}

// UsersByID returns those of the users that exist, by one statement.
func (s *Service) UsersByID(ctx context.Context, ids []core.UserID) ([]User, error) {
	return s.store.UsersByID(ctx, ids)
}

// CreateUser adds a user with any role. Only an admin may; the operator's
// commands act as [System]. It fails with core.ErrForbidden, core.ErrInvalid,
// ErrUsernameTaken or ErrEmailTaken, and leaves an audit row.
func (s *Service) CreateUser(ctx context.Context, by core.Actor, in NewUser) (User, error) {
	ctx = core.WithOperation(ctx, "accounts.CreateUser")
	if !by.IsAdmin() {
		return User{}, core.ErrForbidden
	}
	in.Username = strings.ToLower(strings.TrimSpace(in.Username))
	in.Email = strings.TrimSpace(in.Email)
	if err := in.Check(s.validate); err != nil {
		return User{}, err
	}
	now := s.clock.Now()
	var created User
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		users, err := tx.InsertUsers(ctx, []User{{
			Username: in.Username, Email: in.Email, Role: in.Role, FullName: in.FullName, Bio: in.Bio,
			Active: true, CreatedAt: now, UpdatedAt: now,
		}})
		if err != nil {
			return err
		}
		created = users[0]
		if err := tx.Audit(ctx, core.AuditEntry{Actor: by.UserID, Action: "accounts.user_created", Subject: "user/" + created.Username, At: now}); err != nil {
			return err
		}
		return tx.Emit(ctx, core.NewEvent("accounts.user_created", "user/"+created.Username, by, now, map[string]any{"role": in.Role}))
	})
	if err != nil {
		return User{}, err
	}
	return created, nil
}

// System is the operator at the command line: an admin who is no user.
var System = core.Actor{UserID: -1, Role: core.Admin}
