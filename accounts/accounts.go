// Package accounts keeps the people of a platform: users and their roles, how they
// sign in, their public profiles, and which teachers a producer works for.
//
// [Service] holds the rules, [Store] is what it needs of a storage. Passwords are
// hashed by a [Hasher] (package accounts/password has the usual one), and access
// tokens are signed by a [Keyring].
package accounts

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// User is a person with an account.
type User struct {
	ID            core.UserID
	Username      string // unique without case; users are addressed by it
	Email         string // unique without case
	EmailVerified bool   // the person has proved that the address is theirs
	Phone         string // E.164, such as +77011234567, or empty
	Role          core.Role
	FullName      string
	Bio           string
	Language      string    // in which the user is answered, a canonical tag of BCP 47; empty is what they ask for
	PasswordHash  string    // PHC string, or Django's pbkdf2_sha256$...; empty means no password
	Active        bool      // may sign in and is seen
	LastLogin     time.Time // zero means never
	ProfileSlug   string    // the Slug of the user's Profile, as which it is read; UpdateProfile writes it
	AuthVersion   int64     // from 1; access tokens of an older one are refused
	Version       int64     // from 1; one more with every update
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Name is how a user is named to others.
type Name struct {
	ID       core.UserID
	Username string
	Name     string // the full name, or the username where there is none
}

// Name returns the full name, or the username where there is none.
func (u User) Name() string {
	if u.FullName != "" {
		return u.FullName
	}
	return u.Username
}

// Link is an address on somebody's public page.
type Link struct {
	Name string `json:"name" validate:"required,max=50,line"`
	URL  string `json:"url" validate:"required,max=500,https"`
}

// Specialization is a field that people work in.
type Specialization struct {
	ID   SpecializationID
	Slug string // unique
	Name string
}

// SpecializationID identifies a specialization inside the storage.
type SpecializationID int64

// Profile is what the public page of a user has beside the user's names.
type Profile struct {
	UserID          core.UserID
	Slug            string           // unique among all that profiles have and had; DefaultSlug until it is changed
	Links           []Link           // in the order given
	Specializations []Specialization // by slug
	Rating          int              // hundredths of a star, 1 to 500; 0 is none
	Version         int64            // from 1; one more with every update
}

// MaxOldSlugs bounds the slugs that a profile had before the present one and keeps.
const MaxOldSlugs = 20

// DefaultSlug returns the slug that the profile of a new user has where it is free:
// the folded username with - for what a slug does not take, and a number behind a
// name that is reserved. Of a username it passes core.IsSlug.
func DefaultSlug(username string) string {
	slug := strings.TrimRight(strings.NewReplacer("_", "-", ".", "-").Replace(core.Fold(username)), "-")
	if reserved[slug] {
		slug += "-1"
	}
	return slug
}

// Session is one sign-in: the life of one chain of refresh tokens.
type Session struct {
	ID        uuid.UUID
	UserID    core.UserID
	Network   string // where it began, as Client.Network had it
	CreatedAt time.Time
	RevokedAt time.Time // zero while it is alive
}

// TokenHash is the SHA-256 of a refresh token. The token itself is never stored.
type TokenHash [32]byte

// RefreshToken is one link of a session's chain. At most one token of a session is
// unused, the last.
type RefreshToken struct {
	Hash      TokenHash
	Session   uuid.UUID
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // zero until its successor is made
}

// taken names the field of a name that another has.
func taken(field string) []core.Violation {
	return []core.Violation{{Field: field, Code: "taken", Message: "another has this"}}
}

// The errors of this package. Those about a field of the input name it.
var (
	ErrUserNotFound  = &core.Error{Kind: core.KindNotFound, Code: "accounts.user_not_found", Message: "there is no such user"}
	ErrUsernameTaken = &core.Error{Kind: core.KindConflict, Code: "accounts.username_taken", Message: "the username is taken", Violations: taken("username")}
	ErrEmailTaken    = &core.Error{Kind: core.KindConflict, Code: "accounts.email_taken", Message: "the e-mail address is taken", Violations: taken("email")}
	// ErrSlugTaken is returned for the slug of a profile, which another has or had, or
	// of a specialization.
	ErrSlugTaken = &core.Error{Kind: core.KindConflict, Code: "accounts.slug_taken", Message: "the slug is taken", Violations: taken("slug")}
	// ErrTooManySlugs refuses more than MaxOldSlugs; a profile may take back one of
	// them.
	ErrTooManySlugs           = &core.Error{Kind: core.KindFailedPrecondition, Code: "accounts.too_many_slugs", Message: "the profile has had 20 slugs before: it may only take back one of them"}
	ErrSpecializationNotFound = &core.Error{Kind: core.KindNotFound, Code: "accounts.specialization_not_found", Message: "there is no such specialization"}
	// ErrInUse refuses to delete a specialization that a profile has.
	ErrInUse = &core.Error{Kind: core.KindFailedPrecondition, Code: "accounts.in_use", Message: "a profile has this specialization"}
	// ErrBadCredentials is the one answer to a sign-in that fails, whether the user
	// is unknown or disabled, has no password or another one.
	ErrBadCredentials = &core.Error{Kind: core.KindUnauthenticated, Code: "accounts.bad_credentials", Message: "the username or the password is wrong"}
	// ErrBadToken is the one answer to an access or refresh token that is no good.
	ErrBadToken = &core.Error{Kind: core.KindUnauthenticated, Code: "accounts.bad_token", Message: "the token is not valid, or no longer: sign in again"}
	// ErrWrongPassword refuses to change a password without the old one.
	ErrWrongPassword = &core.Error{
		Kind: core.KindInvalid, Code: "accounts.wrong_password", Message: "the old password is wrong",
		Violations: []core.Violation{{Field: "old_password", Code: "wrong", Message: "this is not the password"}},
	}
	// ErrTooManyAttempts comes with RetryAfter.
	ErrTooManyAttempts = &core.Error{Kind: core.KindRateLimited, Code: "accounts.too_many_attempts", Message: "too many attempts: wait a while"}
	// ErrPasswordsBusy is returned by a Hasher that has had no slot for a second. It
	// comes with RetryAfter.
	ErrPasswordsBusy = &core.Error{Kind: core.KindUnavailable, Code: "accounts.busy", Message: "too many people sign in at once: try again"}
	// ErrLastAdmin keeps the last active admin.
	ErrLastAdmin = &core.Error{Kind: core.KindFailedPrecondition, Code: "accounts.last_admin", Message: "this is the last active admin"}
	// ErrHasCourses keeps a user who has courses from falling below teacher.
	ErrHasCourses = &core.Error{Kind: core.KindFailedPrecondition, Code: "accounts.has_courses", Message: "the user has courses: give them to another teacher first"}
	// ErrWrongRole refuses a link of users that are not a producer and a teacher.
	ErrWrongRole = &core.Error{Kind: core.KindFailedPrecondition, Code: "accounts.wrong_role", Message: "a producer is linked with teachers only"}
	// ErrTooManyTeachers refuses more teachers of one producer than MaxTeachers.
	ErrTooManyTeachers = &core.Error{Kind: core.KindFailedPrecondition, Code: "accounts.too_many_teachers", Message: "a producer has at most 1,000 teachers"}
	// ErrSessionNotFound is a store's; the service answers ErrBadToken.
	ErrSessionNotFound = &core.Error{Kind: core.KindNotFound, Code: "accounts.session_not_found", Message: "there is no such session"}
)
