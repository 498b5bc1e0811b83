package core

// UserID identifies a user inside the storage. It grants nothing and is never
// shown outside, where users are named by username.
type UserID int64

// Role is what a user may do; see docs/ARCHITECTURE.md for the table of rights.
type Role string

// The roles, from the least to the most powerful. The zero Role is anonymous.
const (
	Anonymous Role = ""
	Student   Role = "student"
	Teacher   Role = "teacher"
	Producer  Role = "producer"
	Admin     Role = "admin"
)

// Roles lists what a user can be.
var Roles = [...]Role{Student, Teacher, Producer, Admin}

// Rank orders roles: anonymous 0, student 1, teacher 2, producer 3, admin 4, and
// -1 for what is no role.
func (r Role) Rank() int {
	if r == Anonymous {
		return 0
	}
	for i, known := range Roles {
		if r == known {
			return i + 1
		}
	}
	return -1
}

// Actor is the user on whose behalf a call is made. The zero Actor is an
// anonymous visitor.
type Actor struct {
	UserID   UserID
	Role     Role
	Language string // the choice that the user has saved, a canonical tag of BCP 47; empty is none
}

// IsAnonymous reports whether nobody is signed in.
func (a Actor) IsAnonymous() bool { return a.UserID == 0 }

// IsAdmin reports whether the actor is a signed-in admin.
func (a Actor) IsAdmin() bool { return a.UserID != 0 && a.Role == Admin }

// RequireAdmin returns nil for an admin, ErrUnauthenticated for nobody signed in, and
// ErrForbidden for others.
func (a Actor) RequireAdmin() error {
	switch {
	case a.IsAdmin():
		return nil
	case a.IsAnonymous():
		return ErrUnauthenticated
	}
	return ErrForbidden
}
