package sqlstore

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
)

// UpdateUsers implements accounts.UserTx.
func (t accountsTx) UpdateUsers(ctx context.Context, users ...accounts.User) error {
	if err := checkText(len(users), func(i int) []string { return texts(users[i]) }); err != nil || len(users) == 0 {
		return err
	}
	rows := make([]userRow, len(users))
	for i, u := range users {
		rows[i] = newUserRow(u)
	}
	swapped, err := t.checkUpdates(ctx, rows)
	if err != nil {
		return err
	}
	write := func() error {
		if swapped {
			if err := t.vacateNames(ctx, rows); err != nil {
				return err
			}
		}
		if err := t.updateUserRows(ctx, rows); err != nil {
			return err
		}
		return t.updateListed(ctx, users)
	}
	if len(users) == 1 { // what was refused wrote nothing
		return write()
	}
	return t.Tx.atomically(ctx, write)
}

// checkUpdates says what is in the way of updates before anything is written, and
// reports whether a user takes a name that another of them leaves.
func (t accountsTx) checkUpdates(ctx context.Context, rows []userRow) (swapped bool, err error) {
	ids := make(map[core.UserID]int64, len(rows)) // the versions handed in
	byName, byEmail := make(map[string]core.UserID, len(rows)), make(map[string]core.UserID, len(rows))
	for _, r := range rows {
		if _, twice := ids[r.ID]; twice {
			return false, core.ErrVersion
		}
		if _, taken := byName[r.UsernameFolded]; taken {
			return false, accounts.ErrUsernameTaken
		}
		if _, taken := byEmail[r.EmailFolded]; taken {
			return false, accounts.ErrEmailTaken
		}
		ids[r.ID], byName[r.UsernameFolded], byEmail[r.EmailFolded] = r.Version, r.ID, r.ID
	}
	stored, err := t.usersInTheWay(ctx, rows)
	if err != nil {
		return false, err
	}
	found := 0
	for _, u := range stored {
		version, written := ids[u.ID]
		name, hasName := byName[core.Fold(u.Username)]
		email, hasEmail := byEmail[core.Fold(u.Email)]
		switch {
		case written && version != u.Version:
			return false, core.ErrVersion
		case written:
			found++
			swapped = swapped || hasName && name != u.ID || hasEmail && email != u.ID
		case hasName:
			return false, accounts.ErrUsernameTaken
		default:
			return false, accounts.ErrEmailTaken
		}
	}
	if found < len(rows) {
		return false, accounts.ErrUserNotFound
	}
	return swapped, nil
}

// usersInTheWay reads the users that rows are written over and those with their names.
func (t accountsTx) usersInTheWay(ctx context.Context, rows []userRow) ([]accounts.User, error) {
	ids, names, emails := make([]core.UserID, len(rows)), make([]string, len(rows)), make([]string, len(rows))
	for i, r := range rows {
		ids[i], names[i], emails[i] = r.ID, r.UsernameFolded, r.EmailFolded
	}
	byID, args := in(t.Tx.db, "id", ids)
	byName, more := in(t.Tx.db, "username_folded", names)
	byEmail, most := in(t.Tx.db, "email_folded", emails)
	return t.users(ctx, selectUsers+byID+" UNION "+selectUsers+byName+" UNION "+selectUsers+byEmail, slices.Concat(args, more, most)...)
}

// vacateNames gives users names that nobody can have, since unique keys are checked
// row by row.
func (t accountsTx) vacateNames(ctx context.Context, rows []userRow) error {
	ids := make([]core.UserID, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	_, err := t.Tx.rawExec(ctx, "UPDATE ustat_users SET username_folded = '#' || id, email_folded = '#' || id WHERE id IN (?)", bun.List(ids))
	return err
}

func (t accountsTx) updateUserRows(ctx context.Context, rows []userRow) error {
	for block := range slices.Chunk(rows, blockRows) {
		n, err := t.Tx.exec(ctx, t.Tx.db.bun.NewUpdate().Conn(t.Tx.conn).Model(&block).
			Column("username", "username_folded", "email", "email_folded", "email_verified", "phone", "role", "full_name", "bio", "language",
				"password_hash", "active", "last_login", "auth_version", "updated_at").
			Bulk().Set("version = ?TableAlias.version + 1").Where("?TableAlias.version = _data.version"))
		switch t.Tx.db.constraint(err) { // a concurrent writer was faster
		case "ustat_users_username":
			return accounts.ErrUsernameTaken
		case "ustat_users_email":
			return accounts.ErrEmailTaken
		}
		if err != nil {
			return err
		}
		if int(n) < len(block) {
			return core.ErrVersion
		}
	}
	return nil
}

// updateListed writes into profiles whether lists have them.
func (t accountsTx) updateListed(ctx context.Context, users []accounts.User) error {
	ids := map[bool][]core.UserID{}
	for _, u := range users {
		ids[u.Listed()] = append(ids[u.Listed()], u.ID)
	}
	for listed, some := range ids {
		if _, err := t.Tx.rawExec(ctx, "UPDATE ustat_profiles SET listed = ? WHERE user_id IN (?)", listed, bun.List(some)); err != nil {
			return err
		}
	}
	return nil
}
