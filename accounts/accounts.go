// Package accounts keeps the people of a platform: users, their roles and their
// public profiles.
//
// [Service] holds the rules, [Store] is what it needs of a storage. So far it is
// as deep as a catalogue needs: teachers exist, have names and are found.
package accounts

import (
	"context"
	"time"

	"github.com/ustat/ustat/core"
)

// User is a person with an account.
type User struct {
	ID           core.UserID
	Username     string // unique without case; users are addressed by it
	Email        string // unique without case
	Role         core.Role
	FullName     string
	Bio          string
	PasswordHash string // PHC string, or Django's pbkdf2_sha256$...; empty means no password
	Active       bool
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Name returns the full name, or the username where there is none.
func (u User) Name() string {
	if u.FullName != "" {
		return u.FullName
	}
	return u.Username
}

// Profile is the public page of a user.
type Profile struct {
	UserID core.UserID
	Slug   string // unique; the username until it is changed
}

// The errors of this package.
var (
	ErrUserNotFound  = &core.Error{Kind: core.KindNotFound, Code: "accounts.user_not_found", Message: "there is no such user"}
	ErrUsernameTaken = &core.Error{Kind: core.KindConflict, Code: "accounts.username_taken", Message: "the username is taken"}
	ErrEmailTaken    = &core.Error{Kind: core.KindConflict, Code: "accounts.email_taken", Message: "the e-mail address is taken"}
)

// Reader is the reading half of Store. Inside a Tx it sees the transaction.
type Reader interface {
	// UserByUsername finds a user without regard to case, or fails with
	// ErrUserNotFound.
	UserByUsername(ctx context.Context, username string) (User, error)
	// UsersByID returns those of the users that exist, in any order, by one
	// statement. No ids give no users and no statement.
	UsersByID(ctx context.Context, ids []core.UserID) ([]User, error)
	// UsersByName returns the users whose username is in usernames or whose
	// e-mail is in emails, each once, without regard to case, by one statement.
	UsersByName(ctx context.Context, usernames, emails []string) ([]User, error)
	// ProfileBySlug returns a profile, or fails with ErrUserNotFound.
	ProfileBySlug(ctx context.Context, slug string) (Profile, error)
}

// Tx is one transaction over the users.
type Tx interface {
	Reader
	core.Tx
	// InsertUsers adds users and an empty profile for each and returns them with
	// their ids, in the order given. A name that is taken is ErrUsernameTaken or
	// ErrEmailTaken, adds none of them and leaves the Tx usable.
	InsertUsers(ctx context.Context, users []User) ([]User, error)
	// UpdateUser writes every field of the user with u.ID except CreatedAt, or
	// fails with ErrUserNotFound, ErrUsernameTaken or ErrEmailTaken.
	UpdateUser(ctx context.Context, u User) error
}

// Store keeps users and profiles. Implementations are safe for concurrent use,
// keep times in UTC at microsecond precision, and pass storagetest.Run.
type Store interface {
	Reader
	core.Outbox
	// Update runs fn in one transaction: nil commits; an error or a panic rolls
	// back. fn may run again after a serialization failure, so it only reads what
	// it captured and assigns results whole.
	Update(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
}
