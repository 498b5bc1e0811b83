package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
)

type userRow struct {
	bun.BaseModel  `bun:"table:ustat_users"`
	ID             core.UserID `bun:"id,pk,autoincrement"`
	Username       string      `bun:"username"`
	UsernameFolded string      `bun:"username_folded"`
	Email          string      `bun:"email"`
	EmailFolded    string      `bun:"email_folded"`
	Role           core.Role   `bun:"role"`
	FullName       string      `bun:"full_name"`
	Bio            string      `bun:"bio"`
	PasswordHash   string      `bun:"password_hash"`
	Active         bool        `bun:"active"`
	CreatedAt      time.Time   `bun:"created_at"`
	UpdatedAt      time.Time   `bun:"updated_at"`
}

const userColumns = "id, username, email, role, full_name, bio, password_hash, active, created_at, updated_at"

func newUserRow(u accounts.User) userRow {
	return userRow{
		ID: u.ID, Username: u.Username, UsernameFolded: core.Fold(u.Username), Email: u.Email, EmailFolded: core.Fold(u.Email),
		Role: u.Role, FullName: u.FullName, Bio: u.Bio, PasswordHash: u.PasswordHash, Active: u.Active,
		CreatedAt: core.Time(u.CreatedAt), UpdatedAt: core.Time(u.UpdatedAt),
	}
}

func (r userRow) user() accounts.User {
	return accounts.User{
		ID: r.ID, Username: r.Username, Email: r.Email, Role: r.Role, FullName: r.FullName, Bio: r.Bio,
		PasswordHash: r.PasswordHash, Active: r.Active, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

func scanUser(rows *sql.Rows, u *accounts.User) error {
	err := rows.Scan(&u.ID, &u.Username, &u.Email, &u.Role, &u.FullName, &u.Bio, &u.PasswordHash, &u.Active, &u.CreatedAt, &u.UpdatedAt)
	u.CreatedAt, u.UpdatedAt = u.CreatedAt.UTC(), u.UpdatedAt.UTC()
	return err
}

// accountsReader implements accounts.Reader over a pool or a Tx.
type accountsReader struct{ session }

func (r accountsReader) UserByUsername(ctx context.Context, username string) (accounts.User, error) {
	if !core.ValidText(username) {
		return accounts.User{}, accounts.ErrUserNotFound
	}
	found, err := readAll(ctx, r.session, "SELECT "+userColumns+" FROM ustat_users WHERE username_folded = ?", []any{core.Fold(username)}, scanUser)
	if err != nil {
		return accounts.User{}, err
	}
	if len(found) == 0 {
		return accounts.User{}, accounts.ErrUserNotFound
	}
	return found[0], nil
}

func (r accountsReader) UsersByID(ctx context.Context, ids []core.UserID) ([]accounts.User, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "id", ids)
	return readAll(ctx, r.session, "SELECT "+userColumns+" FROM ustat_users WHERE "+where, args, scanUser)
}

func (r accountsReader) UsersByName(ctx context.Context, usernames, emails []string) ([]accounts.User, error) {
	if len(usernames)+len(emails) == 0 {
		return nil, nil
	}
	// UNION instead of OR, so that each half uses its index.
	names, args := in(r.db, "username_folded", foldAll(usernames))
	mails, more := in(r.db, "email_folded", foldAll(emails))
	return readAll(ctx, r.session, "SELECT "+userColumns+" FROM ustat_users WHERE "+names+
		" UNION SELECT "+userColumns+" FROM ustat_users WHERE "+mails, append(args, more...), scanUser)
}

// foldAll folds names for an IN list, which is never empty: an impossible name
// stands in for none.
func foldAll(names []string) []string {
	folded := make([]string, 0, len(names)+1)
	for _, n := range names {
		if core.ValidText(n) {
			folded = append(folded, core.Fold(n))
		}
	}
	if len(folded) == 0 {
		folded = append(folded, "")
	}
	return folded
}

func (r accountsReader) ProfileBySlug(ctx context.Context, slug string) (accounts.Profile, error) {
	if !core.ValidText(slug) {
		return accounts.Profile{}, accounts.ErrUserNotFound
	}
	found, err := readAll(ctx, r.session, "SELECT user_id, slug FROM ustat_profiles WHERE slug = ?", []any{slug},
		func(rows *sql.Rows, p *accounts.Profile) error { return rows.Scan(&p.UserID, &p.Slug) })
	if err != nil {
		return accounts.Profile{}, err
	}
	if len(found) == 0 {
		return accounts.Profile{}, accounts.ErrUserNotFound
	}
	return found[0], nil
}

// accountsTx implements accounts.Tx.
type accountsTx struct {
	*Tx
	accountsReader
}

func newAccountsTx(tx *Tx) accountsTx { return accountsTx{tx, accountsReader{tx.session}} }

func (t accountsTx) InsertUsers(ctx context.Context, list []accounts.User) ([]accounts.User, error) {
	if err := checkText(len(list), func(i int) []string {
		u := list[i]
		return []string{u.Username, u.Email, u.FullName, u.Bio, u.PasswordHash}
	}); err != nil {
		return nil, err
	}
	rows := make([]userRow, len(list))
	for i, u := range list {
		rows[i] = newUserRow(u)
	}
	type added struct {
		ID             core.UserID
		UsernameFolded string
	}
	got, ok, err := insert[userRow, added](ctx, t.Tx, "ustat_users", rows, "id, username_folded")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, t.whichTaken(ctx, list)
	}
	ids := make(map[string]core.UserID, len(got))
	for _, a := range got {
		ids[a.UsernameFolded] = a.ID
	}
	type profileRow struct {
		bun.BaseModel `bun:"table:ustat_profiles"`
		UserID        core.UserID `bun:"user_id"`
		Slug          string      `bun:"slug"`
	}
	profiles := make([]profileRow, len(rows))
	out := make([]accounts.User, len(rows))
	for i, r := range rows {
		r.ID = ids[r.UsernameFolded]
		out[i] = r.user()
		profiles[i] = profileRow{UserID: r.ID, Slug: r.UsernameFolded}
	}
	if len(profiles) > 0 {
		_, err = t.Tx.exec(ctx, t.Tx.db.bun.NewInsert().Conn(t.Tx.conn).Model(&profiles))
	}
	return out, err
}

// whichTaken says which name of a refused list is not free.
func (t accountsTx) whichTaken(ctx context.Context, list []accounts.User) error {
	seenName, seenEmail := map[string]bool{}, map[string]bool{}
	names, emails := make([]string, len(list)), make([]string, len(list))
	for i, u := range list {
		names[i], emails[i] = u.Username, u.Email
	}
	stored, err := t.UsersByName(ctx, names, emails)
	if err != nil {
		return err
	}
	for _, u := range stored {
		seenName[core.Fold(u.Username)], seenEmail[core.Fold(u.Email)] = true, true
	}
	for _, u := range list {
		if name := core.Fold(u.Username); seenName[name] {
			return accounts.ErrUsernameTaken.Withf("the username %q is taken", u.Username)
		} else {
			seenName[name] = true
		}
	}
	for _, u := range list {
		if email := core.Fold(u.Email); seenEmail[email] {
			return accounts.ErrEmailTaken
		} else {
			seenEmail[email] = true
		}
	}
	return accounts.ErrUsernameTaken
}

func (t accountsTx) UpdateUser(ctx context.Context, u accounts.User) error {
	if err := checkText(1, func(int) []string { return []string{u.Username, u.Email, u.FullName, u.Bio, u.PasswordHash} }); err != nil {
		return err
	}
	same, err := t.UsersByName(ctx, []string{u.Username}, []string{u.Email})
	if err != nil {
		return err
	}
	for _, other := range same {
		if other.ID == u.ID {
			continue
		}
		if strings.EqualFold(other.Username, u.Username) || core.Fold(other.Username) == core.Fold(u.Username) {
			return accounts.ErrUsernameTaken
		}
		return accounts.ErrEmailTaken
	}
	if _, err := t.Tx.rawExec(ctx, "UPDATE ustat_profiles SET slug = ? WHERE user_id = ? AND slug = (SELECT username_folded FROM ustat_users WHERE id = ?)",
		core.Fold(u.Username), u.ID, u.ID); err != nil {
		if t.Tx.db.constraint(err) != "" {
			return accounts.ErrUsernameTaken
		}
		return err
	}
	row := newUserRow(u)
	n, err := t.Tx.exec(ctx, t.Tx.db.bun.NewUpdate().Conn(t.Tx.conn).Model(&row).ExcludeColumn("created_at").WherePK())
	switch t.Tx.db.constraint(err) { // a concurrent writer was faster
	case "ustat_users_username":
		return accounts.ErrUsernameTaken
	case "ustat_users_email":
		return accounts.ErrEmailTaken
	}
	if err == nil && n == 0 {
		return accounts.ErrUserNotFound
	}
	return err
}

// accountsStore implements accounts.Store.
type accountsStore struct {
	accountsReader
	outbox
	db *DB
}

func newAccounts(d *DB) *accountsStore {
	s := session{db: d}
	return &accountsStore{accountsReader{s}, outbox{s, "accounts"}, d}
}

// Update implements accounts.Store.
func (s *accountsStore) Update(ctx context.Context, fn func(ctx context.Context, tx accounts.Tx) error) error {
	return s.db.update(ctx, "accounts", func(ctx context.Context, tx *Tx) error { return fn(ctx, newAccountsTx(tx)) })
}

// Join implements core.Joiner.
func (s *accountsStore) Join(tx *sql.Tx) (accounts.Store, error) {
	return newAccounts(s.db.join(tx)), nil
}

func (d *DB) join(tx *sql.Tx) *DB {
	joined := *d
	joined.joined = tx
	return &joined
}

// checkText refuses what an engine could not keep: broken UTF-8 and NUL.
func checkText(n int, fields func(i int) []string) error {
	for i := range n {
		for _, f := range fields(i) {
			if !core.ValidText(f) {
				return core.Invalid("text", "text", "", f, "valid UTF-8 without NUL is expected")
			}
		}
	}
	return nil
}

var _ core.Joiner[accounts.Store] = (*accountsStore)(nil)
