package transfer

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/accounts/password"
	"github.com/ustat/ustat/core"
)

const (
	maxBio  = 5000 // characters
	maxHash = 512  // bytes
)

type user struct {
	username, email, folded string // folded is the e-mail's
	role                    core.Role
	fullName, bio, hash     string
	disabled                bool
	has                     struct{ fullName, bio bool }
}

const (
	userName = iota
	userEmail
	userRole
	userFullName
	userBio
	userHash
	userActive
)

// users reads users.csv. A column that is not in the file, and an empty
// password_hash, leave what is stored: an import signs nobody out, and active counts for
// new users alone.
type users struct {
	store accounts.Store
	clock core.Clock
}

func (t *users) columns() []column {
	return []column{
		{"username", true},
		{"email", true},
		{"role", true},
		{"full_name", false},
		{"bio", false},
		{"password_hash", false},
		{"active", false},
	}
}

func (t *users) parse(c *cells) user {
	row := user{username: c.raw(userName), email: c.raw(userEmail)}
	if !core.IsUsername(row.username) {
		c.refuse(userName, "%s is no username: 3 to 64 of a-z, 0-9, _, . and -, with a letter or digit in front", quote(row.username))
	}
	if !isEmail(row.email) {
		c.refuse(userEmail, "%s is no e-mail address", quote(row.email))
	}
	row.folded = core.Fold(row.email)
	row.role = oneOf(c, userRole, core.Roles[:]...)
	row.fullName, row.has.fullName = c.text(userFullName, maxName), c.has(userFullName)
	row.bio, row.has.bio = c.text(userBio, maxBio), c.has(userBio)
	row.hash = c.long(userHash, maxHash)
	if row.hash != "" && !password.Known(row.hash) {
		c.refuse(userHash, "the hash is neither an argon2id PHC string nor Django's pbkdf2_sha256$… within their bounds") // and is not shown
	}
	if c.raw(userActive) != "" {
		row.disabled = oneOf(c, userActive, "true", "false") == "false"
	}
	return row
}

// isEmail reports whether s looks like an address: a name, @, and a domain with a
// dot. Whether it exists only a mail can tell.
func isEmail(s string) bool {
	name, domain, ok := strings.Cut(s, "@")
	if !ok || name == "" || len(name) > 64 || len(s) > maxKey || strings.Contains(domain, "@") {
		return false
	}
	if strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`<>()[]\,;:"`, r)
	}) {
		return false
	}
	labels := strings.Split(domain, ".")
	for _, label := range labels {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return len(labels) > 1
}

func (t *users) repeated(r *user, seen *keySet) string {
	if !addKey(seen, r.username) {
		return "username"
	}
	if !addKey(seen, r.folded) { // no username has an @
		return "email"
	}
	return ""
}

func (t *users) plan(ctx context.Context, rows []row[user], refuse refuseFunc) (changes, error) {
	if len(rows) == 0 {
		return changes{}, nil
	}
	byName, byEmail, err := t.stored(ctx, rows)
	if err != nil {
		return changes{}, err
	}
	authority, err := t.authority(ctx, rows, byName)
	if err != nil {
		return changes{}, err
	}
	now := t.clock.Now()
	var inserts []accounts.User
	var updates []user
	for i := range rows {
		r := &rows[i].cell
		u, there := byName[r.username]
		if owner, used := byEmail[r.folded]; used && (!there || owner.ID != u.ID) {
			refuse(i, "email", "another user has this e-mail address")
			continue
		}
		if !there {
			u.Active = !r.disabled
		}
		if reason := authority.refusal(u, r.role); reason != "" {
			refuse(i, "role", reason)
			continue
		}
		if there { // a later row may have the address that this one leaves
			delete(byEmail, core.Fold(u.Email))
		}
		next := r.over(u)
		if there && next == u {
			continue
		}
		if there {
			updates = append(updates, *r)
			continue
		}
		next.Username, next.CreatedAt, next.UpdatedAt = r.username, now, now
		inserts = append(inserts, next)
	}
	return changes{len(inserts), len(updates), func(ctx context.Context) error {
		return t.write(ctx, inserts, updates, now)
	}}, nil
}

// stored returns the stored users that the rows meet, by folded names.
func (t *users) stored(ctx context.Context, rows []row[user]) (byName, byEmail map[string]accounts.User, err error) {
	names, emails := make([]string, len(rows)), make([]string, len(rows))
	for i := range rows {
		names[i], emails[i] = rows[i].cell.username, rows[i].cell.email
	}
	found, err := t.store.UsersByName(ctx, names, emails)
	if err != nil {
		return nil, nil, err
	}
	return indexBy(found, func(u accounts.User) string { return core.Fold(u.Username) }),
		indexBy(found, func(u accounts.User) string { return core.Fold(u.Email) }), nil
}

// over returns u with the cells of the row. Another address is not verified.
func (r *user) over(u accounts.User) accounts.User {
	u.EmailVerified = u.EmailVerified && u.Email == r.email
	u.Email, u.Role = r.email, r.role
	if r.has.fullName {
		u.FullName = r.fullName
	}
	if r.has.bio {
		u.Bio = r.bio
	}
	if r.hash != "" {
		u.PasswordHash = r.hash
	}
	return u
}

// authority is what the rows must not take away: the last active admin, and the
// teacher of a course.
type authority struct {
	admins  int // active ones; when there are enough for all rows, at least as many as that
	teaches map[core.UserID]bool
}

// authority asks for what the rows could take away, by at most two statements.
func (t *users) authority(ctx context.Context, rows []row[user], byName map[string]accounts.User) (authority, error) {
	demoted := 0
	var teachers []core.UserID
	for i := range rows {
		u, there := byName[rows[i].cell.username]
		if !there || u.Role == rows[i].cell.role {
			continue
		}
		if isAdmin(u) {
			demoted++
		}
		if rows[i].cell.role.Rank() < core.Teacher.Rank() {
			teachers = append(teachers, u.ID)
		}
	}
	a := authority{teaches: map[core.UserID]bool{}}
	if demoted > 0 {
		active := true
		admins, err := t.store.Users(ctx, accounts.UserQuery{Role: core.Admin, Active: &active, Limit: demoted + 1})
		if err != nil {
			return a, err
		}
		a.admins = len(admins)
	}
	busy, err := t.store.WithCourses(ctx, teachers)
	for _, id := range busy {
		a.teaches[id] = true
	}
	return a, err
}

func isAdmin(u accounts.User) bool { return u.Active && u.Role == core.Admin }

// refusal returns why a row may not give a stored user that role, or "", and counts
// it as done then.
func (a *authority) refusal(u accounts.User, role core.Role) string {
	switch {
	case role.Rank() < core.Teacher.Rank() && a.teaches[u.ID]:
		return "the user has courses: give them to another teacher first"
	case isAdmin(u) && role != core.Admin:
		if a.admins == 1 {
			return "this is the last active admin"
		}
		a.admins--
	case role == core.Admin && u.Role != core.Admin && u.Active:
		a.admins++
	}
	return ""
}

func (t *users) write(ctx context.Context, inserts []accounts.User, updates []user, now time.Time) error {
	return t.store.Update(ctx, func(ctx context.Context, tx accounts.Tx) error {
		// First, since they may free an e-mail address.
		if err := update(ctx, tx, updates, inserts, now); err != nil {
			return err
		}
		if len(inserts) == 0 {
			return nil
		}
		_, err := tx.InsertUsers(ctx, inserts)
		return err
	})
}

// update writes the rows over the users as they are now, which may have changed
// since they were compared. Where that makes a row one to refuse it is
// errAuthority, and the rows are planned again.
func update(ctx context.Context, tx accounts.Tx, rows []user, inserts []accounts.User, now time.Time) error {
	if len(rows) == 0 {
		return nil
	}
	admins, err := tx.LockAdmins(ctx) // before the users, as everybody does
	if err != nil {
		return err
	}
	names := make([]string, len(rows))
	for i := range rows {
		names[i] = rows[i].username
	}
	stored, err := tx.UsersForUpdate(ctx, names...)
	if err != nil {
		return err
	}
	byName := indexBy(stored, func(u accounts.User) string { return core.Fold(u.Username) })
	if err := checkAuthority(ctx, tx, len(admins), rows, byName, inserts); err != nil {
		return err
	}
	var changed []accounts.User
	var moved []core.UserID // to another role
	for i := range rows {
		u := byName[rows[i].username]
		next := rows[i].over(u)
		if next == u {
			continue
		}
		next.UpdatedAt = now
		changed = append(changed, next)
		if next.Role != u.Role {
			moved = append(moved, u.ID)
		}
	}
	if err := tx.UpdateUsers(ctx, changed...); err != nil {
		return err
	}
	return tx.UnlinkAll(ctx, moved...) // links of the old role no longer fit
}

var errAuthority = core.ErrConflict.Withf("somebody has changed roles or courses meanwhile")

// checkAuthority looks once more, under the locks, at what the plan has refused rows
// for.
func checkAuthority(ctx context.Context, tx accounts.Tx, admins int, rows []user, byName map[string]accounts.User, inserts []accounts.User) error {
	var fall []core.UserID
	demoted := false
	for i := range rows {
		u, role := byName[rows[i].username], rows[i].role
		if u.Role != role && role.Rank() < core.Teacher.Rank() {
			fall = append(fall, u.ID)
		}
		switch before, after := isAdmin(u), u.Active && role == core.Admin; {
		case before && !after:
			admins, demoted = admins-1, true
		case after && !before:
			admins++
		}
	}
	for _, u := range inserts {
		if isAdmin(u) {
			admins++
		}
	}
	if demoted && admins < 1 {
		return errAuthority
	}
	busy, err := tx.WithCourses(ctx, fall)
	if err == nil && len(busy) > 0 {
		err = errAuthority
	}
	return err
}

func (t *users) finish(ctx context.Context, event *core.Event) error {
	if event == nil {
		return nil
	}
	return t.store.Update(ctx, func(ctx context.Context, tx accounts.Tx) error { return tx.Emit(ctx, *event) })
}

// indexBy returns list by its keys.
func indexBy[K comparable, V any](list []V, key func(V) K) map[K]V {
	index := make(map[K]V, len(list))
	for _, v := range list {
		index[key(v)] = v
	}
	return index
}
