package accounts

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// UserQuery asks for users. Conditions are joined by and; a zero field is none.
type UserQuery struct {
	Role   core.Role
	Active *bool
	After  string // the folded username (core.Fold) that the page begins behind
	Limit  int
}

// ProfileQuery asks for the profiles that are listed in public: those of active
// users who are at least teachers.
type ProfileQuery struct {
	Specialization SpecializationID // zero is any
	After          string           // the slug that the page begins behind
	Limit          int
}

// Reader is the reading half of Store. Inside a Tx it sees the transaction.
type Reader interface {
	UserReader
	ProfileReader
	LinkReader
	SessionReader
	AwardReader
}

// UserReader reads users.
type UserReader interface {
	// UserByUsername finds a user without regard to case, or fails with
	// ErrUserNotFound.
	UserByUsername(ctx context.Context, username string) (User, error)
	// UsersByID returns those of the users that exist, each once, in any order, by one
	// statement. No ids give no users and no statement.
	UsersByID(ctx context.Context, ids []core.UserID) ([]User, error)
	// NamesByID returns the names of those of the users that exist, each once, in any
	// order, by one statement that reads no more of them: lists name their people by it.
	// No ids give no names and no statement.
	NamesByID(ctx context.Context, ids []core.UserID) ([]Name, error)
	// UsersByName returns the users whose username is in usernames or whose
	// e-mail is in emails, each once, without regard to case, by one statement.
	UsersByName(ctx context.Context, usernames, emails []string) ([]User, error)
	// Users returns up to q.Limit users behind q.After by the bytes of their folded
	// usernames, by one statement.
	Users(ctx context.Context, q UserQuery) ([]User, error)
	// WithCourses returns, in order, the ids of those of the users who teach a
	// course, of whatever status, that is kept beside these accounts, by one
	// statement. Of a store that keeps no courses that is nobody. No ids give no
	// statement.
	WithCourses(ctx context.Context, ids []core.UserID) ([]core.UserID, error)
}

// ProfileReader reads profiles, each with its links and specializations.
type ProfileReader interface {
	// ProfileBySlug returns the profile that has a slug, by its very bytes, or had it,
	// or fails with
	// ErrUserNotFound.
	ProfileBySlug(ctx context.Context, slug string) (Profile, error)
	// ProfileOf returns the profile of a user, or fails with ErrUserNotFound.
	ProfileOf(ctx context.Context, user core.UserID) (Profile, error)
	// Profiles returns up to q.Limit profiles behind q.After by slug, by at most two
	// statements.
	Profiles(ctx context.Context, q ProfileQuery) ([]Profile, error)
	// Specializations returns up to limit specializations whose slug is greater
	// than after, by slug.
	Specializations(ctx context.Context, after string, limit int) ([]Specialization, error)
	// SpecializationsBySlug returns those of the specializations that exist, in any
	// order.
	SpecializationsBySlug(ctx context.Context, slugs []string) ([]Specialization, error)
}

// LinkReader reads which teachers a producer works for.
type LinkReader interface {
	// TeachersOf returns the ids of the teachers linked to a producer, in order, by
	// one statement.
	TeachersOf(ctx context.Context, producer core.UserID) ([]core.UserID, error)
}

// AwardReader reads what users have achieved.
type AwardReader interface {
	// AwardsOf returns the awards of users by user, time and code, by one statement. No
	// users give no awards and no statement.
	AwardsOf(ctx context.Context, users []core.UserID) ([]Award, error)
}

// SessionReader reads sessions.
type SessionReader interface {
	// SessionUser returns a session, revoked or not, and its user by one statement,
	// or fails with ErrSessionNotFound.
	SessionUser(ctx context.Context, id uuid.UUID) (Session, User, error)
	// KnownNetwork reports whether the user has a session from that network that is
	// not revoked.
	KnownNetwork(ctx context.Context, user core.UserID, network string) (bool, error)
	// RefreshTokenByHash returns a token, used or not, or fails with
	// ErrSessionNotFound.
	RefreshTokenByHash(ctx context.Context, hash TokenHash) (RefreshToken, error)
}

// Tx is one transaction over the accounts. An error that a comment names leaves
// the Tx usable, except where a concurrent transaction was faster.
type Tx interface {
	Reader
	core.Tx
	UserTx
	ProfileTx
	LinkTx
	SessionTx
	AwardTx
}

// UserTx writes users.
type UserTx interface {
	// InsertUsers adds users, each with Version and AuthVersion 1 and an empty
	// profile, and returns them with their ids, in the order given. A name that is
	// taken is ErrUsernameTaken or ErrEmailTaken, adds none of them and leaves the Tx
	// usable. The slug of the profile is the DefaultSlug of the username, with
	// something behind it where another profile has or had that, or is given it by the
	// same call. A role that is none of core.Roles is core.ErrInvalid, here and in
	// UpdateUsers, after which the Update fails.
	InsertUsers(ctx context.Context, users []User) ([]User, error)
	// UsersForUpdate returns those of the users that exist, by id, without regard
	// to case. They stay as they are until the end of the transaction, unless it
	// changes them; who asks for them meanwhile waits.
	UsersForUpdate(ctx context.Context, usernames ...string) ([]User, error)
	// LockAdmins returns the ids of all active admins, in order. Of transactions
	// that ask, the second waits for the end of the first, so that two demotions
	// take turns.
	LockAdmins(ctx context.Context) ([]core.UserID, error)
	// UpdateUsers writes every field of the users with these ids except CreatedAt and
	// ProfileSlug, which stays whatever the user is called, and makes each version one
	// more than the one handed in, by a number of statements that depends on their number
	// in blocks. A name that one of them leaves is free for another. It fails with
	// ErrUserNotFound, ErrUsernameTaken or ErrEmailTaken, and with core.ErrVersion where a
	// Version is not the stored one or a user comes twice; then none is written.
	UpdateUsers(ctx context.Context, users ...User) error
	// RecordLogin writes when a user has signed in, and a hash of the same password
	// unless it is empty. It leaves Version and UpdatedAt: nobody has edited the
	// user. It fails with ErrUserNotFound.
	RecordLogin(ctx context.Context, user core.UserID, at time.Time, hash string) error
}

// ProfileTx writes profiles and specializations.
type ProfileTx interface {
	// ProfileForUpdate returns a profile as ProfileBySlug does. It stays as it is until the end of the transaction, unless that changes it.
	ProfileForUpdate(ctx context.Context, slug string) (Profile, error)
	// UpdateProfile writes slug, links and specializations (by their ids) of the
	// profile of p.UserID and makes the version one more than p.Version. The slug
	// that it had stays its own: it may take it back, and nobody else may take it.
	// It fails with ErrUserNotFound, ErrSlugTaken, ErrTooManySlugs where it would have
	// more than MaxOldSlugs of these, or ErrSpecializationNotFound, and with
	// core.ErrVersion where p.Version is not the stored one.
	UpdateProfile(ctx context.Context, p Profile) error
	// SetRating writes the rating of a user's profile, 0 to 500, and leaves its version:
	// nobody has edited it. It fails with ErrUserNotFound, and with core.ErrInvalid for
	// another rating, after which the Update fails.
	SetRating(ctx context.Context, user core.UserID, rating int) error
	// InsertSpecialization adds one and returns it with its id. A taken slug is
	// ErrSlugTaken.
	InsertSpecialization(ctx context.Context, s Specialization) (Specialization, error)
	// UpdateSpecialization writes slug and name of the one with s.ID, or fails with
	// ErrSpecializationNotFound or ErrSlugTaken.
	UpdateSpecialization(ctx context.Context, s Specialization) error
	// DeleteSpecialization removes one, or fails with ErrSpecializationNotFound, or
	// with ErrInUse where a profile has it.
	DeleteSpecialization(ctx context.Context, id SpecializationID) error
}

// LinkTx writes which teachers a producer works for.
type LinkTx interface {
	// LinkTeacher links a producer with a teacher and reports whether that is new.
	// Whether they are what their names say is the caller's to know. A user that there
	// is not is core.ErrInvalid, after which the Update fails.
	LinkTeacher(ctx context.Context, producer, teacher core.UserID, at time.Time) (added bool, err error)
	// UnlinkTeacher removes a link and reports whether there was one.
	UnlinkTeacher(ctx context.Context, producer, teacher core.UserID) (removed bool, err error)
	// UnlinkAll removes every link of the users, on either side.
	UnlinkAll(ctx context.Context, users ...core.UserID) error
}

// SessionTx writes sessions.
type SessionTx interface {
	// InsertSession adds a session with its first token. A user that there is not is
	// core.ErrInvalid, after which the Update fails.
	InsertSession(ctx context.Context, s Session, first RefreshToken) error
	// UseRefreshToken marks a token as used at a time and returns it. Ok is false,
	// and nothing is changed, for a token that is unknown, used or expired by then.
	// Of concurrent callers one gets it. It is one guarded statement.
	UseRefreshToken(ctx context.Context, hash TokenHash, at time.Time) (t RefreshToken, ok bool, err error)
	// InsertRefreshToken adds the successor of a used token and reports whether it
	// did: to a session that is unknown or revoked nothing is added. A session that
	// was not revoked stays so until the end of the transaction. Where it still has an
	// unused token, that is core.ErrConflict, after which the Update fails.
	InsertRefreshToken(ctx context.Context, t RefreshToken) (added bool, err error)
	// RevokeSession ends a session: it has no unused token any more. One that is
	// unknown or revoked is left alone.
	RevokeSession(ctx context.Context, id uuid.UUID, at time.Time) error
	// RevokeSessionsOf ends every session of a user, as RevokeSession does.
	RevokeSessionsOf(ctx context.Context, user core.UserID, at time.Time) error
	// ForgetTokens removes up to limit tokens that expired before a time, used or not,
	// the oldest first, and the sessions that have none left by that. It returns how
	// many tokens.
	ForgetTokens(ctx context.Context, before time.Time, limit int) (int, error)
	// ForgetSessions removes up to limit sessions that were revoked before a time and
	// have no token left, and returns how many.
	ForgetSessions(ctx context.Context, before time.Time, limit int) (int, error)
}

// AwardTx writes what users have achieved.
type AwardTx interface {
	// AddAwards adds awards and returns those that are new, in any order. One that a
	// user has stays as it is; of concurrent callers one adds it. A user that there is
	// not is core.ErrInvalid, after which the Update fails. Callers hand them over in
	// order of user and code, so that two at once do not wait for each other.
	AddAwards(ctx context.Context, list []Award) ([]Award, error)
}

// Store keeps the accounts. Implementations are safe for concurrent use, keep
// times in UTC at microsecond precision, and pass storagetest.Run.
type Store interface {
	Reader
	core.Outbox
	// Update runs fn in one transaction: nil commits; an error or a panic rolls
	// back. fn may run again after a serialization failure, so it only reads what
	// it captured and assigns results whole.
	Update(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
}
