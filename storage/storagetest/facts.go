package storagetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// enrolled is an enrollment for inserting, with the times that its status has.
func enrolled(course courses.CourseID, user core.UserID, status courses.EnrollmentStatus) courses.Enrollment {
	e := courses.Enrollment{
		Course: course, User: user, Status: status, Source: courses.SourceImport, PricePaid: core.Money{Minor: 100, Currency: "EUR"}, EnrolledAt: day,
	}
	switch status {
	case courses.Completed:
		e.CompletedAt = day.Add(time.Hour)
	case courses.Cancelled, courses.Refunded:
		e.EndedAt = day.Add(time.Hour)
	}
	return e
}

func insertEnrollments(t testing.TB, b *storage.Backend, list ...courses.Enrollment) (out []courses.Enrollment) {
	t.Helper()
	write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
		out, err = tx.InsertEnrollments(ctx, list)
		return err
	})
	require.Len(t, out, len(list))
	return out
}

func (s suite) facts() {
	s.run("CompletedCourses counts completed enrollments, StudentsTaught the students of a teacher's courses", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("anna"), person("boris"), person("clara"))
		anna, boris, clara := users[0].ID, users[1].ID, users[2].ID
		list := insertCourses(t, b, course("one", anna), course("two", anna), course("three", boris), course("four", clara))
		insertEnrollments(
			t, b,
			enrolled(list[0].ID, boris, courses.Completed), enrolled(list[1].ID, boris, courses.Completed), enrolled(list[3].ID, boris, courses.Active),
			enrolled(list[0].ID, clara, courses.Active), enrolled(list[1].ID, clara, courses.Refunded), enrolled(list[2].ID, clara, courses.Completed),
			enrolled(list[2].ID, anna, courses.Cancelled),
		)
		all := []core.UserID{clara, anna, boris, 987654321}
		completed, err := b.Courses.CompletedCourses(timeout(t), all)
		require.NoError(t, err)
		require.Equal(t, map[core.UserID]int{boris: 2, clara: 1}, completed)
		taught, err := b.Courses.StudentsTaught(timeout(t), all)
		require.NoError(t, err)
		require.Equal(t, map[core.UserID]int{anna: 3, boris: 1, clara: 1}, taught)
		taught, err = b.Courses.StudentsTaught(timeout(t), all[:1])
		require.NoError(t, err)
		require.Equal(t, map[core.UserID]int{clara: 1}, taught)
	})
	s.run("LongestStreaks is the greatest number of days on end, in UTC, whatever the courses and the order", func(t *testing.T, b *storage.Backend) {
		r := random(t)
		teacher := insertUsers(t, b, person("teacher"))[0].ID
		list := insertCourses(t, b, course("one", teacher), course("two", teacher))
		start := time.Date(2023, 12, 20, 0, 0, 0, 0, time.UTC) // across a year, a leap day and, elsewhere, summer time
		want := map[core.UserID]int{}
		var ids []core.UserID
		for i := range size(40, 12) {
			user := insertUsers(t, b, person(fmt.Sprintf("learner-%d", i)))[0].ID
			ids = append(ids, user)
			both := insertEnrollments(t, b, enrolled(list[0].ID, user, courses.Active), enrolled(list[1].ID, user, courses.Refunded))
			var progress []courses.LessonProgress
			var active [120]bool
			for n := range r.IntN(90) {
				d := r.IntN(len(active))
				active[d] = true
				// The first and the last microsecond of a day are of it.
				at := start.AddDate(0, 0, d).Add([]time.Duration{0, 12 * time.Hour, 24*time.Hour - time.Microsecond}[r.IntN(3)])
				progress = append(progress, courses.LessonProgress{Enrollment: both[n%2].ID, Lesson: courses.LessonID(n + 1), CompletedAt: zoned(at).Add(-789)})
			}
			write(t, b, func(ctx context.Context, tx courses.Tx) error {
				return tx.SetProgress(ctx, progress)
			})
			run := 0
			for _, on := range active {
				if run++; !on {
					run = 0
				}
				if run > want[user] {
					want[user] = run
				}
			}
		}
		got, err := b.Courses.LongestStreaks(timeout(t), append(slices.Clone(ids), teacher, 987654321))
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
	s.run("facts of nobody cost no statement, of many one", func(t *testing.T, b *storage.Backend) {
		for what, facts := range map[string]func(context.Context, []core.UserID) (map[core.UserID]int, error){
			"completed": b.Courses.CompletedCourses, "streaks": b.Courses.LongestStreaks, "taught": b.Courses.StudentsTaught,
		} {
			ctx, counter := storage.CountQueries(timeout(t))
			none, err := facts(ctx, nil)
			require.NoError(t, err)
			require.Empty(t, none)
			require.Zero(t, counter.Count(), what)
			none, err = facts(ctx, make([]core.UserID, 500))
			require.NoError(t, err)
			require.Empty(t, none)
			require.Equal(t, 1, counter.Count(), what)
		}
	})
}
