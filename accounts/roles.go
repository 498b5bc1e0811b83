package accounts

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// AssignRole gives a user another role; only an admin may. It returns the user as
// stored, and fails with core.ErrForbidden, core.ErrInvalid, ErrUserNotFound,
// ErrLastAdmin, or ErrHasCourses where a user with courses would fall below
// teacher. Links that no longer fit are removed. It leaves an audit row.
func (s *Service) AssignRole(ctx context.Context, by core.Actor, username string, role core.Role) (User, error) {
	ctx = core.WithOperation(ctx, "accounts.AssignRole")
	if !mayManage(by) {
		return User{}, refusal(by)
	}
	if role.Rank() < 1 {
		return User{}, core.Invalid("role", "role", "", string(role), "there is no such role")
	}
	if err := s.askTeaching(ctx, username, role); err != nil {
		return User{}, err
	}
	return s.changeAuthority(ctx, by, username, func(ctx context.Context, tx Tx, u *User) error {
		from := u.Role
		if from == role {
			return nil
		}
		if from.Rank() >= core.Teacher.Rank() && role.Rank() < core.Teacher.Rank() {
			if busy, err := tx.WithCourses(ctx, []core.UserID{u.ID}); err != nil {
				return err
			} else if len(busy) > 0 {
				return ErrHasCourses
			}
		}
		u.Role, u.UpdatedAt = role, s.clock.Now()
		if err := tx.UpdateUsers(ctx, *u); err != nil {
			return err
		}
		u.Version++
		if from == core.Teacher || from == core.Producer {
			if err := tx.UnlinkAll(ctx, u.ID); err != nil {
				return err
			}
		}
		return s.note(ctx, tx, by, "accounts.role_changed", subjectOf(*u), true, map[string]any{"from": from, "to": role})
	})
}

// askTeaching keeps the teacher of a course at teacher or above where courses are
// kept elsewhere than accounts. It is asked before the user is locked, so it misses
// a course that is made meanwhile; of those kept beside the accounts, whose writers
// lock the teacher, Tx.WithCourses misses none.
func (s *Service) askTeaching(ctx context.Context, username string, role core.Role) error {
	if s.teaching == nil || role.Rank() >= core.Teacher.Rank() {
		return nil
	}
	u, err := s.store.UserByUsername(ctx, username)
	if err != nil {
		return err
	}
	if u.Role.Rank() < core.Teacher.Rank() {
		return nil
	}
	has, err := s.teaching.HasCourses(ctx, u.ID)
	if err == nil && has {
		err = ErrHasCourses
	}
	return err
}

// SetActive disables a user, or enables one again; only an admin may. A disabled
// user cannot sign in, and their tokens are no longer good. It returns the user as
// stored, and fails with core.ErrForbidden, ErrUserNotFound or ErrLastAdmin. It
// leaves an audit row.
func (s *Service) SetActive(ctx context.Context, by core.Actor, username string, active bool) (User, error) {
	ctx = core.WithOperation(ctx, "accounts.SetActive")
	if !mayManage(by) {
		return User{}, refusal(by)
	}
	return s.changeAuthority(ctx, by, username, func(ctx context.Context, tx Tx, u *User) error {
		if u.Active == active {
			return nil
		}
		u.Active = active
		if active {
			u.UpdatedAt = s.clock.Now()
			if err := tx.UpdateUsers(ctx, *u); err != nil {
				return err
			}
			u.Version++
		} else if err := s.endSessions(ctx, tx, u); err != nil {
			return err
		}
		return s.note(ctx, tx, by, "accounts.active_changed", subjectOf(*u), true, map[string]any{"active": active})
	})
}

// changeAuthority runs change on a user while nobody else changes what admins there
// are, and keeps at least one. An admin who has just been made something else
// changes nothing.
func (s *Service) changeAuthority(ctx context.Context, by core.Actor, username string, change func(ctx context.Context, tx Tx, u *User) error) (User, error) {
	var changed User
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		admins, err := tx.LockAdmins(ctx)
		if err != nil {
			return err
		}
		if by != System && !slices.Contains(admins, by.UserID) {
			return core.ErrForbidden
		}
		u, err := lockUser(ctx, tx, username)
		if err != nil {
			return err
		}
		was := u
		if err := change(ctx, tx, &u); err != nil {
			return err
		}
		if err := fault.Hit("accounts.authority.after_change"); err != nil {
			return err
		}
		isAdmin := u.Role == core.Admin && u.Active
		if slices.Contains(admins, was.ID) && !isAdmin && len(admins) == 1 {
			return ErrLastAdmin
		}
		changed = u
		return nil
	})
	if err != nil {
		return User{}, err
	}
	return changed, nil
}

// MaxTeachers bounds the teachers of one producer.
const MaxTeachers = 1000

// LinkTeacher links a producer with a teacher, so that the producer may work on the
// teacher's courses; only an admin may. A link that is there is no error. It fails
// with core.ErrForbidden, ErrUserNotFound, ErrWrongRole or ErrTooManyTeachers, and
// leaves an audit row.
func (s *Service) LinkTeacher(ctx context.Context, by core.Actor, producer, teacher string) error {
	ctx = core.WithOperation(ctx, "accounts.LinkTeacher")
	return s.changeLink(ctx, by, producer, teacher, "accounts.teacher_linked", func(ctx context.Context, tx Tx, p, t User) (bool, error) {
		if p.Role != core.Producer || t.Role != core.Teacher {
			return false, ErrWrongRole
		}
		linked, err := tx.TeachersOf(ctx, p.ID)
		if err != nil || slices.Contains(linked, t.ID) {
			return false, err
		}
		if len(linked) >= MaxTeachers {
			return false, ErrTooManyTeachers
		}
		return tx.LinkTeacher(ctx, p.ID, t.ID, s.clock.Now())
	})
}

// UnlinkTeacher removes a link; only an admin may. A link that is not there is no
// error. It fails with core.ErrForbidden or ErrUserNotFound, and leaves an audit
// row.
func (s *Service) UnlinkTeacher(ctx context.Context, by core.Actor, producer, teacher string) error {
	ctx = core.WithOperation(ctx, "accounts.UnlinkTeacher")
	return s.changeLink(ctx, by, producer, teacher, "accounts.teacher_unlinked", func(ctx context.Context, tx Tx, p, t User) (bool, error) {
		return tx.UnlinkTeacher(ctx, p.ID, t.ID)
	})
}

// changeLink runs change on two users who stay as they are, and notes what it did.
func (s *Service) changeLink(ctx context.Context, by core.Actor, producer, teacher, action string,
	change func(ctx context.Context, tx Tx, producer, teacher User) (changed bool, err error),
) error {
	if !mayManage(by) {
		return refusal(by)
	}
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		found, err := tx.UsersForUpdate(ctx, producer, teacher)
		if err != nil {
			return err
		}
		p, okP := pick(found, producer)
		t, okT := pick(found, teacher)
		if !okP || !okT {
			return ErrUserNotFound
		}
		changed, err := change(ctx, tx, p, t)
		if err != nil || !changed {
			return err
		}
		return s.note(ctx, tx, by, action, subjectOf(p), true, map[string]any{"teacher": t.Username})
	})
}

func pick(users []User, username string) (User, bool) {
	i := slices.IndexFunc(users, func(u User) bool { return core.Fold(u.Username) == core.Fold(username) })
	if i < 0 {
		return User{}, false
	}
	return users[i], true
}

// TeachersOf returns the teachers of a producer by username; an admin and the
// producer may ask. It fails with core.ErrForbidden, and for an admin with
// ErrUserNotFound. Three statements.
func (s *Service) TeachersOf(ctx context.Context, by core.Actor, producer string) ([]User, error) {
	ctx = core.WithOperation(ctx, "accounts.TeachersOf")
	p, err := s.store.UserByUsername(ctx, producer)
	if errors.Is(err, ErrUserNotFound) && !by.IsAdmin() {
		return nil, refusal(by)
	}
	if err != nil {
		return nil, err
	}
	if !mayReadTeachers(by, p) {
		return nil, refusal(by)
	}
	ids, err := s.store.TeachersOf(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	teachers, err := s.store.UsersByID(ctx, ids)
	slices.SortFunc(teachers, func(a, b User) int { return strings.Compare(a.Username, b.Username) })
	return teachers, err
}

// TeacherIDs returns the ids of the teachers of a producer, for the rules of other
// domains. One statement.
func (s *Service) TeacherIDs(ctx context.Context, producer core.UserID) ([]core.UserID, error) {
	return s.store.TeachersOf(ctx, producer)
}
