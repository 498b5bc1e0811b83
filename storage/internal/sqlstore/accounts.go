package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
	EmailVerified  bool        `bun:"email_verified"`
	Phone          string      `bun:"phone"`
	Role           core.Role   `bun:"role"`
	FullName       string      `bun:"full_name"`
	Bio            string      `bun:"bio"`
	PasswordHash   string      `bun:"password_hash"`
	Active         bool        `bun:"active"`
	LastLogin      time.Time   `bun:"last_login,nullzero"`
	AuthVersion    int64       `bun:"auth_version"`
	Version        int64       `bun:"version"`
	CreatedAt      time.Time   `bun:"created_at"`
	UpdatedAt      time.Time   `bun:"updated_at"`
}

// userColumns returns the columns that scanUser reads, of the table of users under
// that name.
func userColumns(table string) string {
	const columns = "id, username, email, email_verified, phone, role, full_name, bio, password_hash, active, last_login, auth_version, version, created_at, updated_at"
	return table + "." + strings.ReplaceAll(columns, ", ", ", "+table+".") +
		", (SELECT p.slug FROM ustat_profiles AS p WHERE p.user_id = " + table + ".id) AS profile_slug"
}

var selectUsers = "SELECT " + userColumns("ustat_users") + " FROM ustat_users WHERE "

func newUserRow(u accounts.User) userRow {
	row := userRow{
		ID: u.ID, Username: u.Username, UsernameFolded: core.Fold(u.Username), Email: u.Email, EmailFolded: core.Fold(u.Email),
		EmailVerified: u.EmailVerified, Phone: u.Phone, Role: u.Role, FullName: u.FullName, Bio: u.Bio, PasswordHash: u.PasswordHash,
		Active: u.Active, AuthVersion: u.AuthVersion, Version: u.Version, CreatedAt: core.Time(u.CreatedAt), UpdatedAt: core.Time(u.UpdatedAt),
	}
	if !u.LastLogin.IsZero() {
		row.LastLogin = core.Time(u.LastLogin)
	}
	return row
}

func (r userRow) user() accounts.User {
	return accounts.User{
		ID: r.ID, Username: r.Username, Email: r.Email, EmailVerified: r.EmailVerified, Phone: r.Phone, Role: r.Role,
		FullName: r.FullName, Bio: r.Bio, PasswordHash: r.PasswordHash, Active: r.Active, LastLogin: r.LastLogin,
		AuthVersion: r.AuthVersion, Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

// scanUser scans what stands before a user's columns, and the user.
func scanUser(rows *sql.Rows, u *accounts.User, before ...any) error {
	var login sql.NullTime
	err := rows.Scan(append(before, &u.ID, &u.Username, &u.Email, &u.EmailVerified, &u.Phone, &u.Role, &u.FullName, &u.Bio,
		&u.PasswordHash, &u.Active, &login, &u.AuthVersion, &u.Version, &u.CreatedAt, &u.UpdatedAt, &u.ProfileSlug)...)
	u.LastLogin, u.CreatedAt, u.UpdatedAt = orZero(login), u.CreatedAt.UTC(), u.UpdatedAt.UTC()
	return err
}

// users reads users by one statement.
func (r accountsReader) users(ctx context.Context, query string, args ...any) ([]accounts.User, error) {
	return readAll(ctx, r.session, query, args, func(rows *sql.Rows, u *accounts.User) error { return scanUser(rows, u) })
}

// accountsReader implements accounts.Reader over a pool or a Tx.
type accountsReader struct{ session }

func (r accountsReader) UserByUsername(ctx context.Context, username string) (accounts.User, error) {
	if !core.ValidText(username) {
		return accounts.User{}, accounts.ErrUserNotFound
	}
	found, err := r.users(ctx, selectUsers+"username_folded = ?", core.Fold(username))
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
	return r.users(ctx, selectUsers+where, args...)
}

func (r accountsReader) NamesByID(ctx context.Context, ids []core.UserID) ([]accounts.Name, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "id", ids)
	return readAll(ctx, r.session, "SELECT id, username, full_name FROM ustat_users WHERE "+where, args, func(rows *sql.Rows, n *accounts.Name) error {
		err := rows.Scan(&n.ID, &n.Username, &n.Name)
		n.Name = cmp.Or(n.Name, n.Username)
		return err
	})
}

func (r accountsReader) UsersByName(ctx context.Context, usernames, emails []string) ([]accounts.User, error) {
	if len(usernames)+len(emails) == 0 {
		return nil, nil
	}
	// UNION instead of OR, so that each half uses its index.
	names, args := in(r.db, "username_folded", foldAll(usernames))
	mails, more := in(r.db, "email_folded", foldAll(emails))
	return r.users(ctx, selectUsers+names+" UNION "+selectUsers+mails, append(args, more...)...)
}

func (r accountsReader) Users(ctx context.Context, q accounts.UserQuery) ([]accounts.User, error) {
	if !core.ValidText(q.After) || !core.ValidText(string(q.Role)) {
		return nil, core.Invalid("query", "text", "", "", "valid UTF-8 without NUL is expected")
	}
	where, args := "username_folded > ?", []any{q.After}
	if q.Role != "" {
		where, args = where+" AND role = ?", append(args, q.Role)
	}
	if q.Active != nil {
		where += map[bool]string{true: " AND active", false: " AND NOT active"}[*q.Active]
	}
	return r.users(ctx, selectUsers+where+" ORDER BY username_folded LIMIT ?", append(args, q.Limit)...)
}

func (r accountsReader) WithCourses(ctx context.Context, ids []core.UserID) ([]core.UserID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "id", ids)
	return readAll(ctx, r.session, "SELECT id FROM ustat_users WHERE "+where+
		" AND EXISTS (SELECT 1 FROM ustat_courses AS c WHERE c.teacher_id = ustat_users.id) ORDER BY id", args, scanUserID)
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

// accountsTx implements accounts.Tx.
type accountsTx struct {
	*Tx
	accountsReader
}

func newAccountsTx(tx *Tx) accountsTx { return accountsTx{tx, accountsReader{tx.session}} }

// texts are the fields of a user that must be texts.
func texts(u accounts.User) []string {
	return []string{u.Username, u.Email, u.Phone, u.FullName, u.Bio, u.PasswordHash}
}

func (t accountsTx) InsertUsers(ctx context.Context, list []accounts.User) ([]accounts.User, error) {
	if err := checkText(len(list), func(i int) []string { return texts(list[i]) }); err != nil {
		return nil, err
	}
	rows := make([]userRow, len(list))
	for i, u := range list {
		u.Version, u.AuthVersion = 1, 1
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
	out := make([]accounts.User, len(rows))
	for i, r := range rows {
		r.ID = ids[r.UsernameFolded]
		out[i] = r.user()
	}
	return out, t.insertProfiles(ctx, out)
}

type profileRow struct {
	bun.BaseModel `bun:"table:ustat_profiles"`
	UserID        core.UserID `bun:"user_id"`
	Slug          string      `bun:"slug"`
	Listed        bool        `bun:"listed"`
}

// profileSlugRow is a slug that a profile has or had. One unique key over both is
// what keeps an old slug from being taken while it becomes one.
type profileSlugRow struct {
	bun.BaseModel `bun:"table:ustat_profile_slugs"`
	Slug          string      `bun:"slug"`
	UserID        core.UserID `bun:"user_id"`
}

// insertProfiles adds an empty profile for each user and writes its slug into the
// user.
func (t accountsTx) insertProfiles(ctx context.Context, users []accounts.User) error {
	rows := make([]profileRow, len(users))
	wanted := make([]profileSlugRow, len(users))
	for i, u := range users {
		wanted[i] = profileSlugRow{Slug: accounts.DefaultSlug(u.Username), UserID: u.ID}
	}
	slugs, err := t.takeSlugs(ctx, wanted)
	if err != nil {
		return err
	}
	for i := range users {
		users[i].ProfileSlug = slugs[users[i].ID]
		rows[i] = profileRow{UserID: users[i].ID, Slug: users[i].ProfileSlug, Listed: users[i].Listed()}
	}
	_, err = addRows(ctx, t.Tx, rows, "")
	return err
}

// takeSlugs takes for each user the slug that is wanted. Where that is not free, the
// user's id and some digits that nobody could expect are put behind it.
func (t accountsTx) takeSlugs(ctx context.Context, wanted []profileSlugRow) (map[core.UserID]string, error) {
	slugs := make(map[core.UserID]string, len(wanted))
	for block := range slices.Chunk(wanted, blockRows) {
		var got []profileSlugRow
		q := t.Tx.db.bun.NewInsert().Conn(t.Tx.conn).Model(&block).On("CONFLICT DO NOTHING").Returning("slug, user_id")
		if err := t.Tx.scan(ctx, q, &got); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		for _, row := range got {
			slugs[row.UserID] = row.Slug
		}
	}
	var others []profileSlugRow
	for _, row := range wanted {
		if slugs[row.UserID] == "" {
			row.Slug = fmt.Sprintf("%s-%d-%04x", row.Slug, row.UserID, rand.N(1<<16))
			others, slugs[row.UserID] = append(others, row), row.Slug
		}
	}
	_, err := addRows(ctx, t.Tx, others, "")
	return slugs, err
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

func (t accountsTx) UsersForUpdate(ctx context.Context, usernames ...string) ([]accounts.User, error) {
	if len(usernames) == 0 {
		return nil, nil
	}
	where, args := in(t.Tx.db, "username_folded", foldAll(usernames))
	return t.users(ctx, selectUsers+where+" ORDER BY id"+t.Tx.db.dialect.ForUpdate, args...)
}

func (t accountsTx) LockAdmins(ctx context.Context) ([]core.UserID, error) {
	return readAll(ctx, t.Tx.session, "SELECT id FROM ustat_users WHERE role = 'admin' AND active ORDER BY id"+t.Tx.db.dialect.ForUpdate, nil, scanUserID)
}

func (t accountsTx) RecordLogin(ctx context.Context, user core.UserID, at time.Time, hash string) error {
	if err := checkText(1, func(int) []string { return []string{hash} }); err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_users SET last_login = ?, password_hash = CASE WHEN ? = '' THEN password_hash ELSE ? END WHERE id = ?",
		core.Time(at), hash, hash, user)
	if err == nil && n == 0 {
		err = accounts.ErrUserNotFound
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
	return &accountsStore{accountsReader{session: s}, outbox{s, "accounts"}, d}
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
