package accounts

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// reuseGrace is how long after its use a refresh token still gets the answer that
// it got, for clients that lost it.
const reuseGrace = 10 * time.Second

// Refresh gives new tokens for a refresh token, which is used up by that. Who asks
// again within ten seconds gets the same refresh token again. A token that was used
// longer ago has been stolen from somebody: its session is ended, with an audit row.
// That, and a token that is unknown, expired or of a user who is disabled, is
// ErrBadToken. It fails with ErrTooManyAttempts after 300 bad ones in an hour from
// one network.
func (s *Service) Refresh(ctx context.Context, token core.Secret, from Client) (Tokens, error) {
	ctx = core.WithOperation(ctx, "accounts.Refresh")
	if err := s.keys.ready(); err != nil {
		return Tokens{}, err
	}
	if err := from.check(); err != nil {
		return Tokens{}, err
	}
	limit := core.Limit{Key: "refresh/network/" + from.Network, Count: 300, Per: time.Hour}
	if err := s.take(ctx, limit); err != nil {
		return Tokens{}, err
	}
	raw, err := decodeRefreshToken(token)
	if err != nil {
		return Tokens{}, err
	}
	next := s.keys.successor(raw)
	session, u, err := s.rotate(ctx, sha256.Sum256(raw), sha256.Sum256(next))
	if err != nil {
		return Tokens{}, err
	}
	if err := s.limiter.Return(context.WithoutCancel(ctx), limit); err != nil {
		return Tokens{}, err
	}
	return s.issue(session, u, encodeRefreshToken(next))
}

// rotate puts the next token in the place of one.
func (s *Service) rotate(ctx context.Context, hash, next TokenHash) (session uuid.UUID, u User, err error) {
	now := s.clock.Now()
	stolen := false
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		stolen = false
		token, fresh, err := tx.UseRefreshToken(ctx, hash, now)
		if err != nil {
			return err
		}
		if !fresh {
			if token, err = tx.RefreshTokenByHash(ctx, hash); err != nil {
				return badToken(err)
			}
			if token.UsedAt.IsZero() { // expired, or its session was revoked
				return ErrBadToken
			}
			if stolen = now.Sub(token.UsedAt) > reuseGrace; stolen {
				return s.endStolen(ctx, tx, token.Session, now)
			}
		}
		var current Session
		if current, u, err = tx.SessionUser(ctx, token.Session); err != nil {
			return badToken(err)
		}
		if !current.RevokedAt.IsZero() || !u.Active {
			return ErrBadToken
		}
		if session = current.ID; !fresh {
			return nil
		}
		if err := fault.Hit("accounts.refresh.after_use"); err != nil {
			return err
		}
		added, err := tx.InsertRefreshToken(ctx, RefreshToken{Hash: next, Session: session, CreatedAt: now, ExpiresAt: now.Add(s.refreshTTL)})
		if err == nil && !added { // revoked meanwhile
			err = ErrBadToken
		}
		return err
	})
	if err == nil && stolen {
		err = ErrBadToken
	}
	return session, u, err
}

// endStolen ends a session of which a used token has come back.
func (s *Service) endStolen(ctx context.Context, tx Tx, id uuid.UUID, now time.Time) error {
	session, u, err := tx.SessionUser(ctx, id)
	if err != nil {
		return badToken(err)
	}
	if !session.RevokedAt.IsZero() {
		return nil
	}
	if err := tx.RevokeSession(ctx, id, now); err != nil {
		return err
	}
	return s.note(ctx, tx, core.Actor{}, "accounts.refresh_reused", subjectOf(u), true, map[string]any{"session": id})
}

// badToken makes the store's answer to an unknown token the service's.
func badToken(err error) error {
	if errors.Is(err, ErrSessionNotFound) {
		return ErrBadToken
	}
	return err
}

// Logout ends the session of a refresh token, used or not. An unknown token is no
// error.
func (s *Service) Logout(ctx context.Context, token core.Secret) error {
	ctx = core.WithOperation(ctx, "accounts.Logout")
	raw, err := decodeRefreshToken(token)
	if err != nil {
		return nil // it is no token at all, so it has no session
	}
	now := s.clock.Now()
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		known, err := tx.RefreshTokenByHash(ctx, sha256.Sum256(raw))
		if errors.Is(err, ErrSessionNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.RevokeSession(ctx, known.Session, now)
	})
}

// Authenticate returns who an access token speaks for. Role and language are those that
// are stored now. A token that is not ours, not in time or of another kind, and one
// whose session is revoked, whose user is disabled or has changed the password, is
// ErrBadToken. One statement.
func (s *Service) Authenticate(ctx context.Context, token string) (core.Actor, error) {
	ctx = core.WithOperation(ctx, "accounts.Authenticate")
	c, err := s.parse(token)
	if err != nil {
		return core.Actor{}, err
	}
	session, u, err := s.store.SessionUser(ctx, c.Session)
	if err != nil {
		return core.Actor{}, badToken(err)
	}
	if !session.RevokedAt.IsZero() || !u.Active || u.AuthVersion != c.AuthVersion || u.Username != c.Subject {
		return core.Actor{}, ErrBadToken
	}
	return core.Actor{UserID: u.ID, Role: u.Role, Language: u.Language}, nil
}
