package accounts

import (
	"context"
	"encoding/json"
	"time"

	"github.com/ustat/ustat/core"
)

// Service holds the rules of accounts. It is safe for concurrent use. Where a method
// fails with core.ErrForbidden, an anonymous actor gets core.ErrUnauthenticated.
type Service struct {
	store                 Store
	validate              *core.Validator
	clock                 core.Clock
	cursors               *core.Cursors
	limiter               core.Limiter
	hasher                Hasher
	keys                  *Keyring
	teaching              Teaching
	rules                 []Rule
	facts                 Facts
	issuer, audience      string
	accessTTL, refreshTTL time.Duration
	entrances             chan struct{}
}

// Config is what a Service is made of.
type Config struct {
	Store    Store
	Validate *core.Validator
	Clock    core.Clock
	Cursors  *core.Cursors
	// Limiter counts attempts to sign in.
	Limiter core.Limiter
	Hasher  Hasher
	// Keys sign tokens. Until it has them, whatever needs them is
	// core.ErrUnavailable.
	Keys *Keyring
	// Teaching is asked before a user falls below teacher, beside the Store's own
	// WithCourses, which knows only the courses that are kept with the accounts. Nil
	// means that there are no others.
	Teaching Teaching
	// Rules are the achievements that there are, as CheckRules takes them; Facts is
	// what they are told about courses.
	Rules []Rule
	Facts Facts
	// Issuer and Audience are written into access tokens and required in them.
	Issuer, Audience string
	// AccessTTL and RefreshTTL are how long tokens are good for.
	AccessTTL, RefreshTTL time.Duration
}

// Teaching knows who has courses.
type Teaching interface {
	// HasCourses reports whether a user is the teacher of a course of any status.
	HasCourses(ctx context.Context, teacher core.UserID) (bool, error)
}

// NewService returns a Service. Every field of c but Teaching, Rules and Facts is
// needed; ustat.New gives each its default.
func NewService(c Config) *Service {
	return &Service{
		c.Store, c.Validate, c.Clock, c.Cursors, c.Limiter, c.Hasher, c.Keys, c.Teaching, c.Rules, c.Facts,
		c.Issuer, c.Audience, c.AccessTTL, c.RefreshTTL, make(chan struct{}, maxEntering),
	}
}

// Page is one page of a list.
type Page[T any] = core.PageOf[T]

// System is the operator at the command line: an admin who is no user.
var System = core.Actor{UserID: -1, Role: core.Admin}

// note leaves an event of the subject, and where the operation is a privileged one
// an audit row with the same detail.
func (s *Service) note(ctx context.Context, tx Tx, by core.Actor, action, subject string, privileged bool, detail any) error {
	now := s.clock.Now()
	if privileged {
		text, err := json.Marshal(detail)
		if err != nil {
			return core.ErrInternal.Because(err)
		}
		if err := tx.Audit(ctx, core.AuditEntry{Actor: by.UserID, Action: action, Subject: subject, Detail: text, At: now}); err != nil {
			return err
		}
	}
	return tx.Emit(ctx, core.NewEvent(action, subject, by, now, detail))
}

func subjectOf(u User) string { return "user/" + u.Username }

// lockUser returns a user who stays as they are until the end of the transaction.
func lockUser(ctx context.Context, tx Tx, username string) (User, error) {
	found, err := tx.UsersForUpdate(ctx, username)
	if err != nil {
		return User{}, err
	}
	if len(found) == 0 {
		return User{}, ErrUserNotFound
	}
	return found[0], nil
}

// checkVersion compares the version that a caller asks for; zero asks for none.
func checkVersion(asked, stored int64) error {
	if asked != 0 && asked != stored {
		return core.ErrVersion
	}
	return nil
}
