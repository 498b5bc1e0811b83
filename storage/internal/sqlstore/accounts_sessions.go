package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
)

func (r accountsReader) SessionUser(ctx context.Context, id uuid.UUID) (accounts.Session, accounts.User, error) {
	type pair struct {
		session accounts.Session
		user    accounts.User
	}
	found, err := readAll(ctx, r.session, "SELECT s.id, s.user_id, s.network, s.created_at, s.revoked_at, "+userColumns("u")+
		" FROM ustat_sessions AS s JOIN ustat_users AS u ON u.id = s.user_id WHERE s.id = ?", []any{id.String()},
		func(rows *sql.Rows, p *pair) error {
			var revoked sql.NullTime
			s := &p.session
			if err := scanUser(rows, &p.user, &s.ID, &s.UserID, &s.Network, &s.CreatedAt, &revoked); err != nil {
				return err
			}
			s.CreatedAt, s.RevokedAt = s.CreatedAt.UTC(), orZero(revoked)
			return nil
		})
	if err != nil {
		return accounts.Session{}, accounts.User{}, err
	}
	if len(found) == 0 {
		return accounts.Session{}, accounts.User{}, accounts.ErrSessionNotFound
	}
	return found[0].session, found[0].user, nil
}

// orZero returns a time in UTC, or the zero Time for NULL.
func orZero(t sql.NullTime) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time.UTC()
}

// orNull is the argument for a time of which zero is NULL.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return core.Time(t)
}

func (r accountsReader) KnownNetwork(ctx context.Context, user core.UserID, network string) (bool, error) {
	if !core.ValidText(network) {
		return false, nil
	}
	found, err := readAll(ctx, r.session, "SELECT 1 FROM ustat_sessions WHERE user_id = ? AND network = ? AND revoked_at IS NULL LIMIT 1", []any{user, network},
		func(rows *sql.Rows, one *int) error { return rows.Scan(one) })
	return len(found) > 0, err
}

const tokenColumns = "hash, session_id, created_at, expires_at, used_at"

func scanToken(rows *sql.Rows, t *accounts.RefreshToken) error {
	var hash []byte
	var used sql.NullTime
	if err := rows.Scan(&hash, &t.Session, &t.CreatedAt, &t.ExpiresAt, &used); err != nil {
		return err
	}
	copy(t.Hash[:], hash)
	t.CreatedAt, t.ExpiresAt, t.UsedAt = t.CreatedAt.UTC(), t.ExpiresAt.UTC(), orZero(used)
	return nil
}

func (r accountsReader) RefreshTokenByHash(ctx context.Context, hash accounts.TokenHash) (accounts.RefreshToken, error) {
	found, err := readAll(ctx, r.session, "SELECT "+tokenColumns+" FROM ustat_refresh_tokens WHERE hash = ?", []any{hash[:]}, scanToken)
	if err != nil {
		return accounts.RefreshToken{}, err
	}
	if len(found) == 0 {
		return accounts.RefreshToken{}, accounts.ErrSessionNotFound
	}
	return found[0], nil
}

func (t accountsTx) InsertSession(ctx context.Context, s accounts.Session, first accounts.RefreshToken) error {
	if err := checkText(1, func(int) []string { return []string{s.Network} }); err != nil {
		return err
	}
	if _, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_sessions (id, user_id, network, created_at, revoked_at) VALUES (?, ?, ?, ?, ?)",
		s.ID, s.UserID, s.Network, core.Time(s.CreatedAt), orNull(s.RevokedAt)); err != nil {
		return err
	}
	_, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_refresh_tokens ("+tokenColumns+") VALUES (?, ?, ?, ?, ?)",
		first.Hash[:], s.ID, core.Time(first.CreatedAt), core.Time(first.ExpiresAt), orNull(first.UsedAt))
	return err
}

func (t accountsTx) UseRefreshToken(ctx context.Context, hash accounts.TokenHash, at time.Time) (accounts.RefreshToken, bool, error) {
	if err := t.lockSessionOf(ctx, hash); err != nil {
		return accounts.RefreshToken{}, false, err
	}
	now := core.Time(at)
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_refresh_tokens SET used_at = ? WHERE hash = ? AND used_at IS NULL AND expires_at > ?", now, hash[:], now)
	if err != nil || n == 0 {
		return accounts.RefreshToken{}, false, err
	}
	used, err := t.RefreshTokenByHash(ctx, hash)
	return used, err == nil, err
}

// lockSessionOf takes the session of a token before the token, as who revokes it
// does: so the two never wait for each other.
func (t accountsTx) lockSessionOf(ctx context.Context, hash accounts.TokenHash) error {
	lock := t.Tx.db.dialect.ForUpdate
	if lock == "" {
		return nil
	}
	_, err := readAll(ctx, t.Tx.session, "SELECT 1 FROM ustat_sessions WHERE id = (SELECT session_id FROM ustat_refresh_tokens WHERE hash = ?)"+lock, []any{hash[:]},
		func(rows *sql.Rows, one *int) error { return rows.Scan(one) })
	return err
}

func (t accountsTx) InsertRefreshToken(ctx context.Context, token accounts.RefreshToken) (bool, error) {
	// The session is taken: who revokes it waits, and then finds the token.
	n, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_refresh_tokens ("+tokenColumns+") SELECT ?, id, ?, ?, ? FROM ustat_sessions WHERE id = ? AND revoked_at IS NULL"+t.Tx.db.dialect.ForShare,
		token.Hash[:], core.Time(token.CreatedAt), core.Time(token.ExpiresAt), orNull(token.UsedAt), token.Session)
	return n == 1, err
}

func (t accountsTx) RevokeSession(ctx context.Context, id uuid.UUID, at time.Time) error {
	return t.revoke(ctx, "id = ?", id, at)
}

func (t accountsTx) RevokeSessionsOf(ctx context.Context, user core.UserID, at time.Time) error {
	return t.revoke(ctx, "user_id = ?", user, at)
}

// revoke ends sessions, and then removes the unused tokens that they have by then.
func (t accountsTx) revoke(ctx context.Context, which string, arg any, at time.Time) error {
	if _, err := t.Tx.rawExec(ctx, "UPDATE ustat_sessions SET revoked_at = ? WHERE "+which+" AND revoked_at IS NULL", core.Time(at), arg); err != nil {
		return err
	}
	_, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_refresh_tokens WHERE used_at IS NULL AND session_id IN (SELECT id FROM ustat_sessions WHERE "+which+")", arg)
	return err
}

func (t accountsTx) ForgetTokens(ctx context.Context, before time.Time, limit int) (int, error) {
	var sessions []uuid.UUID
	if err := t.Tx.rawScan(ctx, &sessions, "DELETE FROM ustat_refresh_tokens WHERE hash IN (SELECT hash FROM ustat_refresh_tokens WHERE expires_at < ? ORDER BY expires_at LIMIT ?) RETURNING session_id",
		core.Time(before), limit); err != nil || len(sessions) == 0 {
		return 0, err
	}
	_, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_sessions WHERE id IN (?) AND NOT EXISTS (SELECT 1 FROM ustat_refresh_tokens AS t WHERE t.session_id = ustat_sessions.id)",
		bun.List(sessions))
	return len(sessions), err
}

func (t accountsTx) ForgetSessions(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_sessions WHERE id IN (SELECT s.id FROM ustat_sessions AS s WHERE s.revoked_at < ?"+
		" AND NOT EXISTS (SELECT 1 FROM ustat_refresh_tokens AS t WHERE t.session_id = s.id) ORDER BY s.revoked_at LIMIT ?)", core.Time(before), limit)
	return int(n), err
}
