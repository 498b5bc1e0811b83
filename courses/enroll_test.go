package courses_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// free makes a published course of ann that costs nothing.
func (w *world) free(t testing.TB, title string) courses.Course {
	t.Helper()
	in := whole(title)
	in.Price.Minor = 0
	return w.in(t, w.filled(t, in), courses.Published)
}

// students makes so many people who learn.
func (w *world) students(t testing.TB, n int) []core.Actor {
	t.Helper()
	list := make([]core.Actor, n)
	for i := range list {
		list[i] = w.person(t, fmt.Sprintf("learner-%d", i), core.Student)
	}
	return list
}

// stats returns the numbers of a course as it is read.
func (w *world) stats(t testing.TB, slug string) courses.Stats {
	t.Helper()
	c, err := w.Course(t.Context(), w.admin, slug)
	require.NoError(t, err)
	return c.Stats
}

// beside opens the database beside the platform.
func (w *world) beside(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(w.driver, w.dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (w *world) capacity(t testing.TB, c courses.Course, n int) {
	t.Helper()
	_, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Capacity: &n})
	require.NoError(t, err)
}

func TestWhoMayEnroll(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.free(t, "Free")
		paid := w.in(t, w.course(t, "Paid"), courses.Published)
		draft := w.course(t, "Draft")
		archived := w.in(t, w.course(t, "Archived"), courses.Archived)
		for _, refused := range []struct {
			by   core.Actor
			slug string
			want error
		}{
			{w.nobody, c.Slug, core.ErrUnauthenticated},
			{w.nobody, draft.Slug, core.ErrUnauthenticated},
			{core.Actor{UserID: -1, Role: core.Admin}, c.Slug, core.ErrForbidden},
			{w.ann, c.Slug, courses.ErrOwnCourse},
			{core.Actor{UserID: w.ann.UserID, Role: core.Student}, c.Slug, courses.ErrOwnCourse},
			{w.pam, c.Slug, courses.ErrOwnCourse},
			{w.sam, "nothing", courses.ErrCourseNotFound},
			{w.sam, "a\x00b", courses.ErrCourseNotFound},
			{w.sam, draft.Slug, courses.ErrCourseNotFound},
			{w.sam, archived.Slug, courses.ErrCourseNotFound},
			{w.admin, draft.Slug, courses.ErrNotOpen},
			{w.admin, archived.Slug, courses.ErrNotOpen},
			{w.sam, paid.Slug, courses.ErrPaymentRequired},
		} {
			_, err := w.Enroll(t.Context(), refused.by, refused.slug, "")
			require.ErrorIs(t, err, refused.want, "%v in %s", refused.by, refused.slug)
		}
		w.events(t)
		for i, by := range []core.Actor{w.sam, w.bob, w.admin} {
			e, err := w.Enroll(t.Context(), by, c.Slug, "")
			require.NoError(t, err)
			require.Equal(t, courses.Active, e.Status)
			require.Equal(t, courses.SourceFree, e.Source)
			require.Equal(t, core.Money{Currency: "RUB"}, e.PricePaid)
			require.Equal(t, []any{c.ID, c.Slug, c.Title, by.UserID, 1, 0}, []any{e.Course, e.Slug, e.Title, e.User, e.Lessons, e.Done})
			require.NotEmpty(t, e.Username)
			require.EqualValues(t, i+1, w.stats(t, c.Slug).Students)
			again, err := w.Enroll(t.Context(), by, c.Slug, "key")
			require.NoError(t, err)
			require.Equal(t, e, again)
		}
		require.Equal(t, []string{courses.EventEnrolled, courses.EventEnrolled, courses.EventEnrolled}, w.events(t))
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

func TestTheWaitingListIsInOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.free(t, "Two seats")
		w.capacity(t, c, 2)
		people := w.students(t, 6)
		w.events(t)
		status := func(i int) courses.EnrollmentStatus {
			l, err := w.Learner(t.Context(), c.ID, people[i].UserID)
			require.NoError(t, err)
			return l.Enrollment.Status
		}
		for i, by := range people[:5] {
			e, err := w.Enroll(t.Context(), by, c.Slug, "")
			require.NoError(t, err)
			require.Equal(t, i < 2, e.Status == courses.Active)
			require.Equal(t, i >= 2, e.Status == courses.Waiting)
		}
		require.EqualValues(t, 2, w.stats(t, c.Slug).Students, "who waits is no student")
		require.Equal(t, []string{
			courses.EventEnrolled, courses.EventEnrolled, courses.EventWaitlisted, courses.EventWaitlisted, courses.EventWaitlisted,
		}, w.events(t))

		e, err := w.Cancel(t.Context(), people[0], c.Slug, "")
		require.NoError(t, err)
		require.Equal(t, courses.Cancelled, e.Status)
		require.False(t, e.EndedAt.IsZero())
		again, err := w.Cancel(t.Context(), people[0], c.Slug, "")
		require.NoError(t, err)
		require.Equal(t, e, again)
		require.Equal(t, courses.Active, status(2), "who has waited longest has the seat")
		require.Equal(t, courses.Waiting, status(3))
		require.Equal(t, []string{courses.EventCancelled, courses.EventPromoted}, w.events(t))

		_, err = w.Cancel(t.Context(), people[3], c.Slug, "")
		require.NoError(t, err)
		require.Equal(t, []string{courses.EventCancelled}, w.events(t), "who waits frees no seat")
		_, err = w.Enroll(t.Context(), people[0], c.Slug, "")
		require.NoError(t, err)
		require.Equal(t, courses.Waiting, status(0), "who comes back is the last")
		_, err = w.Cancel(t.Context(), w.admin, c.Slug, "learner-2")
		require.NoError(t, err)
		require.Equal(t, courses.Active, status(4))
		require.Equal(t, courses.Waiting, status(0))
		w.events(t)

		w.capacity(t, c, 3)
		require.Equal(t, courses.Active, status(0), "a capacity that is raised lets in at once")
		require.Equal(t, []string{courses.EventPromoted, courses.EventUpdated}, w.events(t))
		require.EqualValues(t, 3, w.stats(t, c.Slug).Students)
		_, err = w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Capacity: ptr(2)})
		require.Equal(t, []string{"capacity"}, fields(t, err), "nobody loses a seat")
		_, err = w.Enroll(t.Context(), people[5], c.Slug, "")
		require.NoError(t, err)
		require.Equal(t, courses.Waiting, status(5))
		w.capacity(t, c, 0)
		require.Equal(t, courses.Active, status(5), "without a bound nobody waits")
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

func (w *world) price(t testing.TB, c courses.Course, minor int64) {
	t.Helper()
	_, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Price: &core.Money{Minor: minor, Currency: "RUB"}})
	require.NoError(t, err)
}

// TestASeatThatCostsSomethingIsNotGivenForNothing holds that who waits since the course
// was free is let in for money, a grant, or when it is free again.
func TestASeatThatCostsSomethingIsNotGivenForNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.free(t, "Go")
		w.capacity(t, c, 1)
		st := w.students(t, 4)
		for _, by := range st {
			_, err := w.Enroll(t.Context(), by, c.Slug, "")
			require.NoError(t, err)
		}
		w.price(t, c, 500000)
		_, err := w.Cancel(t.Context(), st[0], c.Slug, "")
		require.NoError(t, err)
		w.capacity(t, c, 3)
		statuses := func() (got []courses.EnrollmentStatus) {
			for _, by := range st[1:] {
				got = append(got, w.status(t, c.ID, by))
			}
			return got
		}
		require.Equal(t, []courses.EnrollmentStatus{courses.Waiting, courses.Waiting, courses.Waiting}, statuses())
		require.NoError(t, w.backend.Verify(t.Context()))
		w.pay(t, w.ordered(t, st[3], c.Slug, "").ID)
		require.Equal(t, []courses.EnrollmentStatus{courses.Waiting, courses.Waiting, courses.Active}, statuses())
		e, err := w.Grant(t.Context(), w.ann, c.Slug, "learner-2")
		require.NoError(t, err)
		require.Equal(t, courses.Active, e.Status)
		w.price(t, c, 0)
		require.Equal(t, []courses.EnrollmentStatus{courses.Active, courses.Active, courses.Active}, statuses())
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

func TestCancelIsForTheLearnerAndAdmins(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.free(t, "Free")
		draft := w.course(t, "Draft")
		_, err := w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		for _, refused := range []struct {
			by         core.Actor
			slug, user string
			want       error
		}{
			{w.nobody, c.Slug, "", core.ErrUnauthenticated},
			{w.bob, c.Slug, "", courses.ErrEnrollmentNotFound},
			{w.bob, draft.Slug, "", courses.ErrCourseNotFound},
			{w.ann, c.Slug, "sam", core.ErrForbidden},
			{w.bob, c.Slug, "no-such-user", core.ErrForbidden},
			{w.admin, c.Slug, "no-such-user", core.ErrInvalid},
			{w.admin, c.Slug, "bob", courses.ErrEnrollmentNotFound},
		} {
			_, err := w.Cancel(t.Context(), refused.by, refused.slug, refused.user)
			require.ErrorIs(t, err, refused.want, "%v", refused)
		}
		e, err := w.Cancel(t.Context(), w.sam, c.Slug, "sam")
		require.NoError(t, err)
		require.Equal(t, courses.Cancelled, e.Status)
		require.Zero(t, w.stats(t, c.Slug).Students)
		require.ErrorIs(t, w.Delete(t.Context(), w.ann, c.Slug, 0), courses.ErrNotDeletable)
	})
}

func TestGrantsAreForWhoEditsTheCourse(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.in(t, w.course(t, "Paid"), courses.Published)
		draft := w.course(t, "Draft")
		for _, refused := range []struct {
			by         core.Actor
			slug, user string
			want       error
		}{
			{w.nobody, c.Slug, "sam", core.ErrUnauthenticated},
			{w.sam, c.Slug, "sam", core.ErrForbidden},
			{w.bob, c.Slug, "sam", core.ErrForbidden},
			{w.bob, draft.Slug, "sam", courses.ErrCourseNotFound},
			{w.ann, draft.Slug, "sam", courses.ErrNotOpen},
			{w.ann, c.Slug, "nobody-there", core.ErrInvalid},
			{w.ann, c.Slug, "ann", courses.ErrOwnCourse},
			{w.admin, c.Slug, "pam", courses.ErrOwnCourse},
		} {
			_, err := w.Grant(t.Context(), refused.by, refused.slug, refused.user)
			require.ErrorIs(t, err, refused.want, "%v", refused)
		}
		for _, by := range []core.Actor{w.ann, w.pam, w.admin} {
			e, err := w.Grant(t.Context(), by, c.Slug, "sam")
			require.NoError(t, err)
			require.Equal(t, courses.SourceGrant, e.Source)
			require.Equal(t, courses.Active, e.Status)
			require.EqualValues(t, 1, w.stats(t, c.Slug).Students)
			_, err = w.Revoke(t.Context(), w.bob, c.Slug, "sam")
			require.ErrorIs(t, err, core.ErrForbidden)
			e, err = w.Revoke(t.Context(), by, c.Slug, "sam")
			require.NoError(t, err)
			require.Equal(t, courses.Cancelled, e.Status)
		}
		free := w.free(t, "Free")
		_, err := w.Enroll(t.Context(), w.sam, free.Slug, "")
		require.NoError(t, err)
		for _, user := range []string{"sam", "bob", "nobody-there"} {
			_, err = w.Revoke(t.Context(), w.ann, free.Slug, user)
			require.ErrorIs(t, err, courses.ErrEnrollmentNotFound)
		}
	})
}

// A recount repairs what it finds, and finds nothing else.
func TestReconcileRepairsTheStatistics(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		a, b := w.free(t, "A"), w.free(t, "B")
		for _, by := range w.students(t, 3) {
			for _, c := range []courses.Course{a, b} {
				_, err := w.Enroll(t.Context(), by, c.Slug, "")
				require.NoError(t, err)
			}
		}
		changed, err := w.Reconcile(t.Context())
		require.NoError(t, err)
		require.Empty(t, changed)
		_, err = w.beside(t).Exec("UPDATE ustat_course_stats SET students = 7, completions = 2 WHERE course_id = $1", int64(b.ID))
		require.NoError(t, err)
		require.ErrorContains(t, w.backend.Verify(t.Context()), b.Slug)
		changed, err = w.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, []courses.CourseID{b.ID}, changed)
		require.EqualValues(t, 3, w.stats(t, b.Slug).Students)
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// A recount beside people who come and go leaves the numbers right.
func TestReconcileBesideEnrollments(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.free(t, "Busy")
		people := w.students(t, 8)
		db := w.beside(t)
		stop, done := make(chan struct{}), make(chan error, 1)
		go func() {
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if _, err := w.Reconcile(context.Background()); err != nil {
					done <- err
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		for range 5 * scale() {
			_, err := db.Exec("UPDATE ustat_course_stats SET students = students + 3 WHERE course_id = $1", int64(c.ID))
			require.NoError(t, err)
			for _, err := range together(len(people), func(i int) error {
				if _, err := w.Enroll(t.Context(), people[i], c.Slug, ""); err != nil {
					return err
				}
				_, err := w.Cancel(t.Context(), people[i], c.Slug, "")
				return err
			}) {
				require.NoError(t, err)
			}
		}
		close(stop)
		require.NoError(t, <-done)
		_, err := w.Reconcile(t.Context())
		require.NoError(t, err)
		require.Zero(t, w.stats(t, c.Slug).Students)
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// scale is how many times as much a random test does.
func scale() int {
	n, _ := strconv.Atoi(os.Getenv("USTAT_TEST_SCALE"))
	return max(1, n)
}

// TestACancellationShutsNobodyOut tells what an admin's takes and what it leaves.
func TestACancellationShutsNobodyOut(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		free, paid := w.free(t, "Free"), w.paid(t, "Paid")
		_, err := w.Enroll(t.Context(), w.sam, free.Slug, "")
		require.NoError(t, err)
		w.pay(t, w.ordered(t, w.sam, paid.Slug, "").ID)
		_, err = w.Grant(t.Context(), w.ann, paid.Slug, "bob")
		require.NoError(t, err)
		for _, who := range []struct {
			name string
			by   core.Actor
			slug string
		}{{"sam", w.sam, free.Slug}, {"sam", w.sam, paid.Slug}, {"bob", w.bob, paid.Slug}} {
			e, err := w.Cancel(t.Context(), w.admin, who.slug, who.name)
			require.NoError(t, err)
			require.Equal(t, courses.Cancelled, e.Status)
			e, err = w.Enroll(t.Context(), who.by, who.slug, "")
			require.NoError(t, err, "%s in %s", who.name, who.slug)
			require.Equal(t, courses.Active, e.Status)
		}
		_, err = w.Revoke(t.Context(), w.ann, paid.Slug, "bob")
		require.NoError(t, err)
		_, err = w.Enroll(t.Context(), w.bob, paid.Slug, "")
		require.ErrorIs(t, err, courses.ErrPaymentRequired)
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

func TestWhoHasASeatDoesNotTeachAndKeepsTheSeatOfAnArchivedCourse(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.free(t, "Go")
		bob := w.person(t, "second", core.Teacher)
		seat, err := w.Enroll(t.Context(), bob, c.Slug, "")
		require.NoError(t, err)
		_, err = w.Reassign(t.Context(), w.admin, c.Slug, "second")
		require.ErrorIs(t, err, courses.ErrEnrolled)
		_, err = w.Archive(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
		again, err := w.Enroll(t.Context(), bob, c.Slug, "")
		require.NoError(t, err)
		require.Equal(t, seat, again)
	})
}
