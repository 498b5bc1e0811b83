package storagetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// class is two courses of two lessons and some users, who need not be there.
type class struct {
	shelf
	courses []courses.Course
	lessons [][]courses.Lesson // by course
}

func newClass(t testing.TB, b *storage.Backend) class {
	t.Helper()
	cl := class{shelf: newShelf(t, b)}
	cl.courses = insertCourses(t, b, course("one", cl.teachers[0]), course("two", cl.teachers[1]))
	for _, c := range cl.courses {
		var made []courses.Module
		write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
			made, err = tx.InsertModules(ctx, []courses.Module{{CourseID: c.ID, Title: "Module", Position: 1}})
			return err
		})
		lesson := courses.Lesson{CourseID: c.ID, ModuleID: made[0].ID, Title: "Lesson", Kind: courses.Text, Position: 2}
		first := lesson
		first.Position = 1
		cl.lessons = append(cl.lessons, insertLessons(t, b, lesson, first))
	}
	return cl
}

// enrollment is one that holds a seat, as a service makes it.
func enrollment(c courses.Course, user core.UserID) courses.Enrollment {
	return courses.Enrollment{Course: c.ID, User: user, Status: courses.Active, Source: courses.SourceFree, PricePaid: core.Money{Currency: "RUB"}, EnrolledAt: day}
}

func enroll(t testing.TB, b *storage.Backend, list ...courses.Enrollment) (out []courses.Enrollment) {
	t.Helper()
	write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
		out, err = tx.InsertEnrollments(ctx, list)
		return err
	})
	require.Len(t, out, len(list))
	return out
}

func enrollmentNow(t testing.TB, b *storage.Backend, id courses.EnrollmentID) courses.Enrollment {
	t.Helper()
	e, err := b.Courses.EnrollmentByID(timeout(t), id)
	require.NoError(t, err)
	return e
}

// seatsOf returns the students and completions of courses.
func seatsOf(t testing.TB, b *storage.Backend, slugs ...string) (counts [][2]int64) {
	t.Helper()
	for _, slug := range slugs {
		stats := bySlug(t, b, slug).Stats
		counts = append(counts, [2]int64{stats.Students, stats.Completions})
	}
	return counts
}

// learning are the cases of who takes what.
func (s suite) learning() {
	s.run("enrollments come back whole, with what is filled on reading, by one statement", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		in := courses.Enrollment{
			Course: cl.courses[0].ID, User: 7, Status: courses.Completed, Source: courses.SourcePurchase, PricePaid: core.Money{Minor: 1 << 52, Currency: "USD"},
			EnrolledAt: zoned(day), StartedAt: zoned(day.Add(time.Hour)), CompletedAt: zoned(day.Add(2 * time.Hour)),
			Resume: courses.Resume{Lesson: cl.lessons[0][0].ID, Seconds: 90}, Version: 9,
		}
		made := enroll(t, b, in)[0]
		require.EqualValues(t, 1, made.Version)
		ctx, queries := storage.CountQueries(timeout(t))
		got, err := b.Courses.EnrollmentByID(ctx, made.ID)
		require.NoError(t, err)
		require.LessOrEqual(t, queries.Count(), 1)
		utc(t, in.EnrolledAt, got.EnrolledAt)
		utc(t, in.StartedAt, got.StartedAt)
		utc(t, in.CompletedAt, got.CompletedAt)
		want := made
		want.Slug, want.Title, want.Lessons = "one", "Course one", 2
		want.EnrolledAt, want.StartedAt, want.CompletedAt = got.EnrolledAt, got.StartedAt, got.CompletedAt
		require.Equal(t, want, got)
		ctx, queries = storage.CountQueries(timeout(t))
		learner, err := b.Courses.LearnerOf(ctx, in.Course, 7)
		require.NoError(t, err)
		require.LessOrEqual(t, queries.Count(), 1)
		require.Equal(t, courses.Learner{User: 7, Enrollment: want}, learner)
		learner, err = b.Courses.LearnerOf(timeout(t), in.Course, 8)
		require.NoError(t, err)
		require.Equal(t, courses.Learner{User: 8}, learner)
		_, err = b.Courses.EnrollmentByID(timeout(t), 404)
		require.ErrorIs(t, err, courses.ErrEnrollmentNotFound)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return tx.DeleteLesson(ctx, in.Course, in.Resume.Lesson)
		})
		require.Zero(t, enrollmentNow(t, b, made.ID).Resume, "a lesson that is gone is no place to resume")
		learner, err = b.Courses.LearnerOf(timeout(t), in.Course, in.User)
		require.NoError(t, err)
		require.Zero(t, learner.Enrollment.Resume, "a lesson that is gone is no place to resume")
	})
	s.run("a user who has an enrollment of the course already is ErrEnrolled, adds none and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		enroll(t, b, enrollment(cl.courses[0], 7))
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.InsertEnrollments(ctx, []courses.Enrollment{enrollment(cl.courses[1], 7), enrollment(cl.courses[0], 7)})
			if err := expect(err, courses.ErrEnrolled); err != nil {
				return err
			}
			_, err = tx.InsertEnrollments(ctx, []courses.Enrollment{enrollment(cl.courses[1], 8)})
			return err
		})
		require.Equal(t, [][2]int64{{1, 0}, {1, 0}}, seatsOf(t, b, "one", "two"))
	})
	s.run("students are the seated enrollments and completions the completed ones, whatever changes", func(t *testing.T, b *storage.Backend) {
		random := random(t)
		cl := newClass(t, b)
		var all []courses.Enrollment
		for i := range size(60, 20) {
			e := enrollment(cl.courses[i%2], core.UserID(i+1))
			e.Status = courses.EnrollmentStatuses[random.IntN(5)]
			all = append(all, e)
		}
		all = enroll(t, b, all...)
		for range size(40, 8) {
			changed := random.Perm(len(all))[:1+random.IntN(len(all))]
			var list []courses.Enrollment
			for _, i := range changed {
				all[i].Status = courses.EnrollmentStatuses[random.IntN(5)]
				list = append(list, all[i])
			}
			write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.UpdateEnrollments(ctx, list) })
			var want [2][2]int64
			for i, e := range all {
				if e.Status.Seated() {
					want[i%2][0]++
				}
				if e.Status == courses.Completed {
					want[i%2][1]++
				}
			}
			require.Equal(t, want[:], seatsOf(t, b, "one", "two"))
		}
		lost := all[0]
		lost.Status = courses.Cancelled
		missing := all[1]
		missing.ID += 404
		before := seatsOf(t, b, "one", "two")
		require.ErrorIs(t, writing(t, b, func(ctx context.Context, tx courses.Tx) error {
			return tx.UpdateEnrollments(ctx, []courses.Enrollment{lost, missing})
		}), courses.ErrEnrollmentNotFound)
		require.Equal(t, before, seatsOf(t, b, "one", "two"))
	})
	s.run("UpdateEnrollments writes all but course and user, and its version grows", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		e := enroll(t, b, enrollment(cl.courses[0], 7))[0]
		in := e
		in.Status, in.Source, in.PricePaid = courses.Refunded, courses.SourceGrant, core.Money{Minor: 5, Currency: "EUR"}
		in.EnrolledAt, in.StartedAt, in.CompletedAt, in.EndedAt = day.Add(1), day.Add(time.Hour), day.Add(2*time.Hour), day.Add(3*time.Hour)
		in.Resume, in.Course, in.User, in.Version = courses.Resume{Lesson: cl.lessons[0][1].ID, Seconds: 4}, cl.courses[1].ID, 8, 77
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return tx.UpdateEnrollments(ctx, []courses.Enrollment{in})
		})
		want := in
		want.Course, want.User, want.Version = e.Course, e.User, 2
		want.Slug, want.Title, want.Lessons, want.EnrolledAt = "one", "Course one", 2, day
		require.Equal(t, want, enrollmentNow(t, b, e.ID))
	})
	s.run("SeatsForUpdate returns the places of a course by its present and its old slugs", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		c := cl.courses[0]
		c.Slug, c.Capacity, c.Price = "renamed", 5, core.Money{Minor: 10, Currency: "EUR"}
		require.NoError(t, updateCourses(t, b, c))
		waits := enrollment(c, 8)
		waits.Status = courses.Waiting
		ended := enrollment(c, 9)
		ended.Status = courses.Cancelled
		enroll(t, b, enrollment(c, 7), waits, ended)
		for _, slug := range []string{"one", "renamed"} {
			write(t, b, func(ctx context.Context, tx courses.Tx) error {
				got, err := tx.SeatsForUpdate(ctx, slug)
				require.Equal(t, courses.Seats{
					Course: c.ID, Slug: "renamed", Title: c.Title, Lessons: 2, Status: c.Status, Teacher: c.Teacher.ID, Price: c.Price, Capacity: 5, Taken: 1, Waiting: 1,
				}, got)
				return err
			})
		}
		for _, slug := range []string{"nothing", "", "a\x00b"} {
			require.ErrorIs(t, writing(t, b, func(ctx context.Context, tx courses.Tx) error {
				_, err := tx.SeatsForUpdate(ctx, slug)
				return err
			}), courses.ErrCourseNotFound)
		}
	})
	s.run("those who come for a seat take turns, so that the last one is given once", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		c := cl.courses[0]
		c.Capacity = 3
		require.NoError(t, updateCourses(t, b, c))
		require.NoError(t, errors.Join(atOnce(b, 12, func(ctx context.Context, tx courses.Tx, i int) error {
			seats, err := tx.SeatsForUpdate(ctx, "one")
			if err != nil {
				return err
			}
			e := enrollment(c, core.UserID(i+1))
			if seats.Full() {
				e.Status = courses.Waiting
			}
			_, err = tx.InsertEnrollments(ctx, []courses.Enrollment{e})
			return err
		})...))
		require.Equal(t, [][2]int64{{3, 0}}, seatsOf(t, b, "one"))
	})
	s.run("EnrollmentForUpdate keeps others from changing it until the end of the transaction", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		e := enroll(t, b, enrollment(cl.courses[0], 7))[0]
		const workers = 6
		each := size(30, 8)
		counted(t, workers, each, func() error {
			return b.Courses.Update(context.Background(), func(ctx context.Context, tx courses.Tx) error {
				e, err := tx.EnrollmentForUpdate(ctx, e.ID)
				if err != nil {
					return err
				}
				e.Resume = courses.Resume{Lesson: cl.lessons[0][0].ID, Seconds: e.Resume.Seconds + 1}
				return tx.UpdateEnrollments(ctx, []courses.Enrollment{e})
			})
		})
		require.Equal(t, workers*each, enrollmentNow(t, b, e.ID).Resume.Seconds, "an update was lost")
		require.ErrorIs(t, writing(t, b, func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.EnrollmentForUpdate(ctx, 404)
			return err
		}), courses.ErrEnrollmentNotFound)
	})
	s.run("Promote gives a seat to those who have waited longest, and returns them in that order", func(t *testing.T, b *storage.Backend) {
		random := random(t)
		cl := newClass(t, b)
		n := size(40, 12)
		var list []courses.Enrollment
		for i, k := range random.Perm(n) {
			e := enrollment(cl.courses[0], core.UserID(i+1))
			e.Status, e.EnrolledAt = courses.Waiting, day.Add(time.Duration(k/2)*time.Second) // two at each time
			if i%3 == 0 {
				e.CompletedAt = day
			}
			list = append(list, e)
		}
		other := enrollment(cl.courses[1], 1)
		other.Status = courses.Waiting
		list = enroll(t, b, append(list, other)...)
		other, list = list[n], list[:n]
		slices.SortFunc(list, func(a, b courses.Enrollment) int {
			if c := a.EnrolledAt.Compare(b.EnrolledAt); c != 0 {
				return c
			}
			return int(a.ID - b.ID)
		})
		at := day.Add(time.Hour)
		for len(list) > 0 {
			want := list[:min(5, len(list))]
			list = list[len(want):]
			var got []courses.Enrollment
			write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
				got, err = tx.Promote(ctx, cl.courses[0].ID, 5, false, at)
				return err
			})
			require.Len(t, got, len(want))
			for i, e := range got {
				require.Equal(t, want[i].ID, e.ID)
				require.Equal(t, map[bool]courses.EnrollmentStatus{true: courses.Active, false: courses.Completed}[e.CompletedAt.IsZero()], e.Status)
				require.Equal(t, at, e.EnrolledAt)
				require.Equal(t, e, enrollmentNow(t, b, e.ID))
			}
		}
		require.Equal(t, [][2]int64{{int64(n), int64((n + 2) / 3)}, {0, 0}}, seatsOf(t, b, "one", "two"))
		require.Equal(t, courses.Waiting, enrollmentNow(t, b, other.ID).Status)
	})
	s.run("Promote of a course with a price passes over those who came for nothing and have no right to it", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		var list []courses.Enrollment
		for i, source := range []courses.Source{courses.SourceFree, courses.SourceGrant, courses.SourceFree, courses.SourceImport} {
			e := enrollment(cl.courses[0], core.UserID(i+1))
			e.Status, e.Source, e.EnrolledAt = courses.Waiting, source, day.Add(time.Duration(i)*time.Second)
			list = append(list, e)
		}
		list = enroll(t, b, list...)
		promoted := func(paid bool) (ids []courses.EnrollmentID) {
			write(t, b, func(ctx context.Context, tx courses.Tx) error {
				ids = nil
				for _, course := range []int{1, 0} { // the right to another course is none
					if err := tx.SetEntitlement(ctx, courses.Entitlement{
						Course: cl.courses[course].ID, User: core.UserID(3 - 2*course), Source: courses.SourceGrant, PricePaid: core.Money{Currency: "RUB"}, By: 1, At: day,
					}); err != nil {
						return err
					}
				}
				got, err := tx.Promote(ctx, cl.courses[0].ID, 9, paid, day)
				for _, e := range got {
					ids = append(ids, e.ID)
				}
				return err
			})
			return ids
		}
		require.Equal(t, []courses.EnrollmentID{list[1].ID, list[2].ID, list[3].ID}, promoted(true))
		require.Equal(t, []courses.EnrollmentID{list[0].ID}, promoted(false))
	})
	s.run("Enrollments returns up to q.Limit behind q.After, the newest first, and who waits the longest first, by one statement", func(t *testing.T, b *storage.Backend) {
		random := random(t)
		cl := newClass(t, b)
		var all []courses.Enrollment
		for i := range size(80, 24) {
			e := enrollment(cl.courses[i%2], core.UserID(i/2+1))
			e.Status, e.EnrolledAt = courses.EnrollmentStatuses[random.IntN(3)], day.Add(time.Duration(random.IntN(5))*time.Second)
			all = append(all, e)
		}
		all = enroll(t, b, all...)
		for _, q := range []courses.EnrollmentQuery{
			{User: 1},
			{Course: cl.courses[0].ID},
			{Course: cl.courses[0].ID, Status: courses.Active},
			{Course: cl.courses[1].ID, Status: courses.Waiting},
			{User: 2, Course: cl.courses[1].ID},
			{User: 1, Status: courses.Completed},
		} {
			want := slices.DeleteFunc(slices.Clone(all), func(e courses.Enrollment) bool {
				return q.User != 0 && e.User != q.User || q.Course != 0 && e.Course != q.Course || q.Status != "" && e.Status != q.Status
			})
			slices.SortFunc(want, func(a, b courses.Enrollment) int {
				c := a.EnrolledAt.Compare(b.EnrolledAt)
				if c == 0 {
					c = int(a.ID - b.ID)
				}
				if q.Status == courses.Waiting {
					return c
				}
				return -c
			})
			var got []courses.EnrollmentID
			for q.Limit = 3; ; {
				ctx, queries := storage.CountQueries(timeout(t))
				page, err := b.Courses.Enrollments(ctx, q)
				require.NoError(t, err)
				require.LessOrEqual(t, queries.Count(), 1)
				require.LessOrEqual(t, len(page), q.Limit)
				for _, e := range page {
					got = append(got, e.ID)
					q.After = &courses.Position{Keys: []int64{e.EnrolledAt.UnixMicro()}, ID: int64(e.ID)}
				}
				if len(page) < q.Limit {
					break
				}
			}
			ids := make([]courses.EnrollmentID, len(want))
			for i, e := range want {
				ids[i] = e.ID
			}
			require.Equal(t, ids, append([]courses.EnrollmentID{}, got...), "%+v", q)
		}
		_, err := b.Courses.Enrollments(timeout(t), courses.EnrollmentQuery{Limit: 5})
		require.ErrorIs(t, err, core.ErrInvalid, "of nobody and of no course")
	})
	s.run("EnrollmentsOf returns those enrollments of the pairs that exist", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		made := enroll(t, b, enrollment(cl.courses[0], 1), enrollment(cl.courses[1], 2))
		got, err := b.Courses.EnrollmentsOf(timeout(t), []courses.CourseID{cl.courses[0].ID, cl.courses[0].ID, cl.courses[1].ID, 404}, []core.UserID{1, 2, 2, 1})
		require.NoError(t, err)
		var ids []courses.EnrollmentID
		for _, e := range got {
			ids = append(ids, e.ID)
			require.Zero(t, [2]int{e.Lessons, e.Done}, "they are not counted")
		}
		require.ElementsMatch(t, []courses.EnrollmentID{made[0].ID, made[1].ID}, ids)
		got, err = b.Courses.EnrollmentsOf(timeout(t), nil, nil)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	s.progress()
	s.around()
}
