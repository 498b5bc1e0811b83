package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// Every actor tries every change of every role, of others and of themselves.
func TestOnlyAdminsAssignRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	w.add(t, "first-admin", core.Admin)
	tried := 0
	for _, actor := range core.Roles {
		for _, from := range core.Roles {
			for _, to := range core.Roles {
				tried++
				by := w.add(t, fmt.Sprintf("actor-%d", tried), actor)
				name := fmt.Sprintf("subject-%d", tried)
				w.add(t, name, from)
				before := w.user(t, name)
				after, err := w.AssignRole(t.Context(), by, name, to)
				if actor != core.Admin {
					require.ErrorIs(t, err, core.ErrForbidden)
					require.Equal(t, before, w.user(t, name))
					continue
				}
				require.NoError(t, err)
				require.Equal(t, to, after.Role)
				require.Equal(t, after, w.user(t, name))
			}
		}
		for _, to := range core.Roles { // self
			name := fmt.Sprintf("self-%s-%s", actor, to)
			by := w.add(t, name, actor)
			_, err := w.AssignRole(t.Context(), by, name, to)
			if actor == core.Admin { // there are others
				require.NoError(t, err)
				require.Equal(t, to, w.user(t, name).Role)
			} else {
				require.ErrorIs(t, err, core.ErrForbidden)
				require.Equal(t, actor, w.user(t, name).Role)
			}
		}
	}
	require.Equal(t, 64, tried)
	require.Equal(t, w.audits(t, "accounts.role_changed"), w.events(t, "accounts.role_changed"))
	require.Equal(t, 12+3, w.audits(t, "accounts.role_changed"), "a change that is none leaves no row")

	anonymous := core.Actor{Role: core.Admin} // a role without a user
	_, err := w.AssignRole(t.Context(), anonymous, "subject-1", core.Admin)
	require.ErrorIs(t, err, core.ErrUnauthenticated)
	_, err = w.AssignRole(t.Context(), accounts.System, "subject-1", "emperor")
	require.ErrorIs(t, err, core.ErrInvalid)
	_, err = w.AssignRole(t.Context(), accounts.System, "nobody", core.Admin)
	require.ErrorIs(t, err, accounts.ErrUserNotFound)
}

func TestTheLastAdminStays(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		first := w.add(t, "first", core.Admin)
		w.add(t, "disabled", core.Admin)
		_, err := w.SetActive(t.Context(), first, "disabled", false)
		require.NoError(t, err)
		for _, by := range []core.Actor{first, accounts.System} {
			_, err = w.AssignRole(t.Context(), by, "first", core.Student)
			require.ErrorIs(t, err, accounts.ErrLastAdmin)
			require.ErrorIs(t, err, core.ErrFailedPrecondition)
			_, err = w.SetActive(t.Context(), by, "first", false)
			require.ErrorIs(t, err, accounts.ErrLastAdmin)
		}
		require.Equal(t, core.Admin, w.user(t, "first").Role)
		_, err = w.AssignRole(t.Context(), first, "first", core.Admin)
		require.NoError(t, err, "nothing changes")
		_, err = w.AssignRole(t.Context(), first, "disabled", core.Student)
		require.NoError(t, err, "a disabled admin is none")
	})
}

func TestTwoAdminsWhoDemoteEachOther(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		names := []string{"ann", "bob"}
		actors := []core.Actor{w.add(t, names[0], core.Admin), w.add(t, names[1], core.Admin)}
		rounds, refused := scaled(1000, 100), 0
		for round := range rounds {
			errs := make([]error, 2)
			var wg sync.WaitGroup
			for i := range actors {
				wg.Go(func() {
					if round%2 == 0 {
						_, errs[i] = w.AssignRole(context.Background(), actors[i], names[1-i], core.Student)
					} else {
						_, errs[i] = w.SetActive(context.Background(), actors[i], names[1-i], false)
					}
				})
			}
			wg.Wait()
			yes := true
			left, err := w.backend.Accounts.Users(t.Context(), accounts.UserQuery{Role: core.Admin, Active: &yes, Limit: 3})
			require.NoError(t, err)
			require.Len(t, left, 1, "round %d", round)
			for _, err := range errs {
				if err != nil {
					require.ErrorIs(t, err, core.ErrForbidden, "who has just been demoted demotes nobody")
					refused++
				}
			}
			for _, name := range names { // as before
				_, err = w.SetActive(t.Context(), accounts.System, name, true)
				require.NoError(t, err)
				_, err = w.AssignRole(t.Context(), accounts.System, name, core.Admin)
				require.NoError(t, err)
			}
		}
		require.Equal(t, rounds, refused)
	})
}

// teaching says who has courses.
type teaching map[core.UserID]bool

func (t teaching) HasCourses(_ context.Context, teacher core.UserID) (bool, error) {
	return t[teacher], nil
}

func TestWhoHasCoursesStaysATeacher(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	anna := w.add(t, "anna", core.Teacher)
	w.add(t, "boris", core.Teacher)
	s := accounts.NewService(accounts.Config{
		Store: w.backend.Accounts, Validate: core.NewValidator(), Clock: w.clock, Cursors: new(core.Cursors), Limiter: core.NewMemoryLimiter(w.clock),
		Hasher: w.hasher, Keys: new(accounts.Keyring), Teaching: teaching{anna.UserID: true}, Issuer: "x", Audience: "x",
	})
	_, err := s.AssignRole(t.Context(), accounts.System, "anna", core.Student)
	require.ErrorIs(t, err, accounts.ErrHasCourses)
	require.Equal(t, core.Teacher, w.user(t, "anna").Role)
	_, err = s.AssignRole(t.Context(), accounts.System, "anna", core.Producer)
	require.NoError(t, err)
	_, err = s.AssignRole(t.Context(), accounts.System, "boris", core.Student)
	require.NoError(t, err)
}

// interrupted is a Store that has something done just before its next Update.
type interrupted struct {
	accounts.Store
	do func()
}

func (m *interrupted) Update(ctx context.Context, fn func(ctx context.Context, tx accounts.Tx) error) error {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return m.Store.Update(ctx, fn)
}

func TestACourseThatIsMadeDuringADemotionKeepsItsTeacher(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		anna := w.add(t, "anna", core.Teacher)
		store := &interrupted{w.backend.Accounts, func() {
			_, err := w.platform.Courses.Create(t.Context(), anna, courses.NewCourse{Title: "Go"})
			require.NoError(t, err)
		}}
		s := accounts.NewService(accounts.Config{
			Store: store, Validate: core.NewValidator(), Clock: w.clock, Cursors: new(core.Cursors), Limiter: core.NewMemoryLimiter(w.clock),
			Hasher: w.hasher, Keys: new(accounts.Keyring), Teaching: w.platform.Courses, Issuer: "x", Audience: "x",
		})
		_, err := s.AssignRole(t.Context(), accounts.System, "anna", core.Student)
		require.ErrorIs(t, err, accounts.ErrHasCourses)
		require.Equal(t, core.Teacher, w.user(t, "anna").Role)
	})
}

func TestLinksOfProducersAndTeachers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		admin := w.add(t, "boss", core.Admin)
		producer, other := w.add(t, "producer", core.Producer), w.add(t, "other", core.Producer)
		teacher := w.add(t, "teacher", core.Teacher)
		student := w.add(t, "student", core.Student)
		admiral := w.add(t, "admiral", core.Teacher) // after teacher in time, before in name
		for _, by := range []core.Actor{{}, student, teacher, producer, other} {
			require.Error(t, w.LinkTeacher(ctx, by, "producer", "teacher"))
			require.Error(t, w.UnlinkTeacher(ctx, by, "producer", "teacher"))
		}
		for _, pair := range [][2]string{{"teacher", "producer"}, {"producer", "student"}, {"producer", "other"}, {"producer", "producer"}, {"boss", "teacher"}} {
			require.ErrorIs(t, w.LinkTeacher(ctx, admin, pair[0], pair[1]), accounts.ErrWrongRole, pair)
		}
		require.ErrorIs(t, w.LinkTeacher(ctx, admin, "producer", "nobody"), accounts.ErrUserNotFound)
		for range 2 { // the second changes nothing
			require.NoError(t, w.LinkTeacher(ctx, admin, "Producer", "TEACHER"))
		}
		require.Equal(t, 1, w.audits(t, "accounts.teacher_linked"))
		require.Equal(t, 1, w.events(t, "accounts.teacher_linked"))
		ids, err := w.TeacherIDs(ctx, producer.UserID)
		require.NoError(t, err)
		require.Equal(t, []core.UserID{teacher.UserID}, ids)
		require.NoError(t, w.LinkTeacher(ctx, admin, "producer", "admiral"))

		for _, c := range []struct {
			by   core.Actor
			want error
		}{{admin, nil}, {producer, nil}, {other, core.ErrForbidden}, {teacher, core.ErrForbidden}, {student, core.ErrForbidden}, {core.Actor{}, core.ErrUnauthenticated}} {
			counted, queries := storage.CountQueries(ctx)
			users, err := w.TeachersOf(counted, c.by, "producer")
			require.ErrorIs(t, err, c.want)
			if c.want == nil {
				require.Len(t, users, 2)
				require.Equal(t, []string{"admiral", "teacher"}, []string{users[0].Username, users[1].Username})
				require.Equal(t, 3, queries.Count())
			}
		}
		_, err = w.TeachersOf(ctx, student, "nobody")
		require.ErrorIs(t, err, core.ErrForbidden)

		_, err = w.AssignRole(ctx, admin, "teacher", core.Producer)
		require.NoError(t, err)
		ids, err = w.TeacherIDs(ctx, producer.UserID)
		require.NoError(t, err)
		require.Equal(t, []core.UserID{admiral.UserID}, ids, "the link went with the role")
		require.NoError(t, w.UnlinkTeacher(ctx, admin, "producer", "teacher"), "there is none")
		require.Zero(t, w.audits(t, "accounts.teacher_unlinked"))
	})
}

func TestAProducerHasAtMostAThousandTeachers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	producer := w.add(t, "producer", core.Producer)
	w.add(t, "one-more", core.Teacher)
	require.NoError(t, w.backend.Accounts.Update(t.Context(), func(ctx context.Context, tx accounts.Tx) error {
		users := make([]accounts.User, accounts.MaxTeachers)
		for i := range users {
			name := fmt.Sprint("teacher-", i)
			users[i] = accounts.User{Username: name, Email: name + "@example.org", Role: core.Teacher, Active: true}
		}
		users, err := tx.InsertUsers(ctx, users)
		for _, u := range users {
			_, linkErr := tx.LinkTeacher(ctx, producer.UserID, u.ID, w.clock.Now())
			err = errors.Join(err, linkErr)
		}
		return err
	}))
	require.ErrorIs(t, w.LinkTeacher(t.Context(), accounts.System, "producer", "one-more"), accounts.ErrTooManyTeachers)
	require.NoError(t, w.LinkTeacher(t.Context(), accounts.System, "producer", "teacher-7"), "it is there")
	require.NoError(t, w.UnlinkTeacher(t.Context(), accounts.System, "producer", "teacher-7"))
	require.NoError(t, w.LinkTeacher(t.Context(), accounts.System, "producer", "one-more"))
}
