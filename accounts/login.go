package accounts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// Client is where a call comes from.
type Client struct {
	// Network is an opaque name of at most 64 bytes for the caller's network, by
	// which attempts are counted: an IPv4 address, or the /64 of an IPv6 one. All
	// callers without a name count as one.
	Network string
}

func (c Client) check() error {
	if len(c.Network) > 64 {
		return core.Invalid("network", "max", "64", c.Network, "the name of a network is at most 64 bytes")
	}
	if !core.ValidText(c.Network) {
		return core.Invalid("network", "text", "", "", "not valid UTF-8, or it has a NUL byte")
	}
	return nil
}

// Registration is what Register takes.
type Registration struct {
	Username string      `json:"username" validate:"required,username"`
	Email    string      `json:"email" validate:"required,email,max=254"`
	Password core.Secret `json:"password" validate:"required,password"`
	FullName string      `json:"full_name" validate:"max=200,line"`
}

// Credentials are what Login takes.
type Credentials struct {
	Login    string      `json:"username" validate:"required,max=254,text"` // the username or the e-mail address
	Password core.Secret `json:"password" validate:"required,max=1024"`
}

// PasswordChange is what ChangePassword takes.
type PasswordChange struct {
	Old core.Secret `json:"old_password" validate:"required,max=1024"`
	New core.Secret `json:"new_password" validate:"required,password"`
}

// Register adds a student and signs them in; everyone may. It fails with
// core.ErrInvalid, ErrUsernameTaken, ErrEmailTaken, ErrTooManyAttempts (20 an hour
// from one network) or ErrPasswordsBusy.
func (s *Service) Register(ctx context.Context, in Registration, from Client) (Tokens, error) {
	ctx = core.WithOperation(ctx, "accounts.Register")
	in.Username, in.Email = cleanUsername(in.Username), strings.TrimSpace(in.Email)
	if err := s.checkEntry(in, from); err != nil {
		return Tokens{}, err
	}
	if reserved[in.Username] {
		return Tokens{}, core.Invalid("username", "reserved", "", in.Username, "this name is reserved")
	}
	if err := s.take(ctx, core.Limit{Key: "register/network/" + from.Network, Count: 20, Per: time.Hour}); err != nil {
		return Tokens{}, err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return Tokens{}, err
	}
	defer leave()
	hash, err := s.hasher.Hash(ctx, in.Password)
	if err != nil {
		return Tokens{}, err
	}
	now := s.clock.Now()
	start := s.newSession(from, now)
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		users, err := tx.InsertUsers(ctx, []User{{
			Username: in.Username, Email: in.Email, Role: core.Student, FullName: in.FullName, PasswordHash: hash,
			Active: true, LastLogin: now, CreatedAt: now, UpdatedAt: now,
		}})
		if err != nil {
			return err
		}
		if err := fault.Hit("accounts.register.after_insert"); err != nil {
			return err
		}
		u := users[0]
		by := core.Actor{UserID: u.ID, Role: u.Role, Language: u.Language}
		if err := s.note(ctx, tx, by, "accounts.user_registered", subjectOf(u), false, map[string]any{}); err != nil {
			return err
		}
		return start.insert(ctx, tx, u)
	})
	if err != nil {
		return Tokens{}, err
	}
	return s.tokens(start)
}

// Login signs a user in by username or e-mail address and password. Whether the
// user is unknown or disabled, has no password or another one, the answer is
// ErrBadCredentials, after the hash of one password in each case, which takes the
// same time but for users whose stored hash is of another kind or cost than today's
// (see Hasher). It also fails
// with core.ErrInvalid, ErrTooManyAttempts (see throttle) or ErrPasswordsBusy. A
// hash that is not of today's kind is replaced on success.
func (s *Service) Login(ctx context.Context, in Credentials, from Client) (Tokens, error) {
	ctx = core.WithOperation(ctx, "accounts.Login")
	in.Login = strings.TrimSpace(in.Login)
	if err := s.checkEntry(in, from); err != nil {
		return Tokens{}, err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return Tokens{}, err
	}
	defer leave()
	u, err := s.userByLogin(ctx, in.Login)
	if err != nil {
		return Tokens{}, err
	}
	outdated, err := s.verify(ctx, u, in.Login, in.Password, from)
	if err != nil {
		return Tokens{}, err
	}
	upgraded := ""
	if outdated {
		// Where no slot is free for it, the hash is replaced next time.
		upgraded, _ = s.hasher.Hash(ctx, in.Password)
	}
	now := s.clock.Now()
	start := s.newSession(from, now)
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		current, err := lockUser(ctx, tx, u.Username)
		if err != nil {
			return err
		}
		if current.AuthVersion != u.AuthVersion || !current.Active { // changed since it was verified
			return ErrBadCredentials
		}
		hash := ""
		if current.PasswordHash == u.PasswordHash {
			hash = upgraded
		}
		if err := tx.RecordLogin(ctx, current.ID, now, hash); err != nil {
			return err
		}
		if err := fault.Hit("accounts.login.after_update"); err != nil {
			return err
		}
		return start.insert(ctx, tx, current)
	})
	if err != nil {
		return Tokens{}, err
	}
	return s.tokens(start)
}

// ChangePassword gives the actor another password and ends all their sessions, this
// one too. It fails with core.ErrUnauthenticated, core.ErrInvalid,
// ErrWrongPassword, ErrTooManyAttempts or ErrPasswordsBusy, and leaves an audit
// row.
func (s *Service) ChangePassword(ctx context.Context, by core.Actor, in PasswordChange, from Client) error {
	ctx = core.WithOperation(ctx, "accounts.ChangePassword")
	if by.IsAnonymous() {
		return refusal(by)
	}
	if err := s.checkEntry(in, from); err != nil {
		return err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	found, err := s.store.UsersByID(ctx, []core.UserID{by.UserID})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return core.ErrUnauthenticated
	}
	u := found[0]
	if _, err := s.verify(ctx, u, u.Username, in.Old, from); err != nil {
		if errors.Is(err, ErrBadCredentials) {
			return ErrWrongPassword
		}
		return err
	}
	hash, err := s.hasher.Hash(ctx, in.New)
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		current, err := lockUser(ctx, tx, u.Username)
		if err != nil {
			return err
		}
		if current.AuthVersion != u.AuthVersion { // changed since it was verified
			return ErrWrongPassword
		}
		current.PasswordHash = hash
		if err := s.endSessions(ctx, tx, &current); err != nil {
			return err
		}
		return s.note(ctx, tx, by, "accounts.password_changed", subjectOf(u), true, map[string]any{})
	})
}

// endSessions writes a user whose tokens are no longer good.
func (s *Service) endSessions(ctx context.Context, tx Tx, u *User) error {
	now := s.clock.Now()
	u.AuthVersion++
	u.UpdatedAt = now
	if err := tx.UpdateUsers(ctx, *u); err != nil {
		return err
	}
	u.Version++
	if err := fault.Hit("accounts.end_sessions.after_user"); err != nil {
		return err
	}
	return tx.RevokeSessionsOf(ctx, u.ID, now)
}

const (
	maxEntering = 4           // calls with a password that are worked on at once
	maxWait     = time.Second // of the others
)

// enter waits for a turn to work on a password. A crowd waits here, where waiting
// costs nothing, and not at the database. Who has waited for a second is
// ErrPasswordsBusy.
func (s *Service) enter(ctx context.Context) (leave func(), err error) {
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case s.entrances <- struct{}{}:
		return func() { <-s.entrances }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, ErrPasswordsBusy.After(maxWait)
	}
}

// checkEntry checks the input of an entry that takes a password, and that there are
// keys for the tokens that it ends in.
func (s *Service) checkEntry(in any, from Client) error {
	if err := s.keys.ready(); err != nil {
		return err
	}
	if err := from.check(); err != nil {
		return err
	}
	return s.validate.Struct(in)
}

// userByLogin returns the user of a username or an e-mail address, or the zero User.
func (s *Service) userByLogin(ctx context.Context, login string) (User, error) {
	usernames, emails := []string{login}, []string(nil)
	if strings.Contains(login, "@") { // no username has one
		usernames, emails = nil, usernames
	}
	found, err := s.store.UsersByName(ctx, usernames, emails)
	if err != nil || len(found) == 0 {
		return User{}, err
	}
	return found[0], nil
}

// verify checks the password of a user, or of nobody, with one hash in each case
// and none when there were too many attempts.
func (s *Service) verify(ctx context.Context, u User, login string, password core.Secret, from Client) (outdated bool, err error) {
	limits, err := s.throttle(ctx, u.ID, login, from)
	if err != nil {
		return false, err
	}
	ok, outdated, err := s.hasher.Verify(ctx, u.PasswordHash, password)
	if err == nil && (!ok || u.ID == 0 || !u.Active) {
		return false, ErrBadCredentials
	}
	// It was right, or it was not looked at.
	if returned := s.limiter.Return(context.WithoutCancel(ctx), limits...); err == nil {
		err = returned
	}
	return outdated, err
}

// throttle reserves an attempt: 10 in ten minutes for an account from one network,
// 100 an hour for an account, 300 an hour for a network. The second does not stop a
// network from which the user is signed in, so that nobody can be locked out by
// guesses of others.
func (s *Service) throttle(ctx context.Context, user core.UserID, login string, from Client) ([]core.Limit, error) {
	known, err := s.store.KnownNetwork(ctx, user, from.Network)
	if err != nil {
		return nil, err
	}
	account := "id/" + strconv.FormatInt(int64(user), 10)
	if user == 0 {
		hash := sha256.Sum256([]byte(core.Fold(login))) // of one length, whatever they type
		account = "name/" + hex.EncodeToString(hash[:16])
	}
	limits := []core.Limit{
		{Key: "login/pair/" + account + "/" + from.Network, Count: 10, Per: 10 * time.Minute},
		{Key: "login/network/" + from.Network, Count: 300, Per: time.Hour},
	}
	if !known {
		limits = append(limits, core.Limit{Key: "login/account/" + account, Count: 100, Per: time.Hour})
	}
	return limits, s.take(ctx, limits...)
}

// take counts an event, or fails with ErrTooManyAttempts.
func (s *Service) take(ctx context.Context, limits ...core.Limit) error {
	wait, err := s.limiter.Take(ctx, limits...)
	if err == nil && wait > 0 {
		err = ErrTooManyAttempts.After(wait)
	}
	return err
}

// beginning is a session that is about to be stored.
type beginning struct {
	session Session
	first   core.Secret
	token   RefreshToken
	user    User // set by insert
}

func (s *Service) newSession(from Client, now time.Time) *beginning {
	id := uuid.Must(uuid.NewV7())
	raw := newRefreshToken()
	return &beginning{
		session: Session{ID: id, Network: from.Network, CreatedAt: now},
		first:   encodeRefreshToken(raw),
		token:   RefreshToken{Hash: sha256.Sum256(raw), Session: id, CreatedAt: now, ExpiresAt: now.Add(s.refreshTTL)},
	}
}

func (b *beginning) insert(ctx context.Context, tx Tx, u User) error {
	b.user, b.session.UserID = u, u.ID
	return tx.InsertSession(ctx, b.session, b.token)
}

func (s *Service) tokens(b *beginning) (Tokens, error) {
	return s.issue(b.session.ID, b.user, b.first)
}
