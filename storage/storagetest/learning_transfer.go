package storagetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

func setProgress(t testing.TB, b *storage.Backend, list ...courses.LessonProgress) {
	t.Helper()
	write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.SetProgress(ctx, list) })
}

// unread is an enrollment without what is counted on reading.
func unread(list []courses.Enrollment) []courses.Enrollment {
	list = slices.Clone(list)
	for i := range list {
		list[i].Slug, list[i].Title, list[i].Lessons, list[i].Done = "", "", 0, 0
	}
	return list
}

func (s suite) learningTransfer() {
	s.run("SeatsOf returns the places of the courses that exist by one statement", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("anna"), person("boris"), person("clara"))
		full := course("full", users[0].ID)
		full.Capacity = 1
		list := insertCourses(t, b, full, course("open", users[0].ID))
		insertEnrollments(t, b, enrolled(list[0].ID, users[1].ID, courses.Completed), enrolled(list[0].ID, users[2].ID, courses.Waiting))
		ctx, counter := storage.CountQueries(timeout(t))
		seats, err := b.Courses.SeatsOf(ctx, []string{"open", "unknown", "full", "no\x00text"})
		require.NoError(t, err)
		require.Equal(t, 1, counter.Count())
		want := []courses.Seats{
			{Course: list[0].ID, Slug: "full", Title: list[0].Title, Status: list[0].Status, Teacher: users[0].ID, Price: list[0].Price, Capacity: 1, Taken: 1, Waiting: 1},
			{Course: list[1].ID, Slug: "open", Title: list[1].Title, Status: list[1].Status, Teacher: users[0].ID, Price: list[1].Price},
		}
		require.ElementsMatch(t, want, seats)
		none, err := b.Courses.SeatsOf(ctx, nil)
		require.NoError(t, err)
		require.Empty(t, none)
		require.Equal(t, 1, counter.Count())
	})
	s.run("LessonRefs finds lessons by their places, each once, in any number", func(t *testing.T, b *storage.Backend) {
		one, other, m := book(t, b)
		var lessons []courses.Lesson
		for i := range 300 {
			lessons = append(lessons, courses.Lesson{CourseID: one.ID, ModuleID: m[i%3].ID, ModulePosition: m[i%3].Position, Title: "L", Kind: courses.Text, Content: "long", Position: i/3 + 1})
		}
		lessons = append(lessons, courses.Lesson{CourseID: other.ID, ModuleID: m[3].ID, ModulePosition: 5, Title: "L", Kind: courses.Text, Position: 1})
		var want []courses.Placed[courses.Lesson]
		var places []courses.Place
		for _, l := range insertLessons(t, b, lessons...) {
			slug := map[courses.CourseID]string{one.ID: "one", other.ID: "other"}[l.CourseID]
			want = append(want, courses.Placed[courses.Lesson]{Course: slug, Item: courses.Lesson{ID: l.ID, CourseID: l.CourseID, ModuleID: l.ModuleID, ModulePosition: l.ModulePosition, Position: l.Position}})
			places = append(places, courses.Place{Course: slug, Module: l.ModulePosition, Lesson: l.Position}, courses.Place{Course: slug, Module: l.ModulePosition, Lesson: 1000})
		}
		places = append(places, courses.Place{Course: "unknown", Module: 5, Lesson: 1}, courses.Place{Course: "one\x00", Module: 5, Lesson: 1}, courses.Place{Course: "other", Module: 2, Lesson: 1})
		got, err := b.Courses.LessonRefs(timeout(t), places)
		require.NoError(t, err)
		require.ElementsMatch(t, want, got)
		got, err = b.Courses.LessonRefs(timeout(t), nil)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	s.run("SetProgress adds completed lessons and writes the times of others, and ProgressAt returns them", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("anna"), person("boris"))
		c := insertCourses(t, b, course("one", users[0].ID))[0]
		e := insertEnrollments(t, b, enrolled(c.ID, users[0].ID, courses.Active), enrolled(c.ID, users[1].ID, courses.Active))
		first := make([]courses.LessonProgress, 700)
		for i := range first {
			first[i] = courses.LessonProgress{Enrollment: e[i%2].ID, Lesson: courses.LessonID(i/2 + 1), CompletedAt: day}
		}
		setProgress(t, b, first...)
		first[3].CompletedAt = day.Add(time.Hour)
		added := courses.LessonProgress{Enrollment: e[0].ID, Lesson: 5000, CompletedAt: day.Add(-time.Hour)}
		setProgress(t, b, courses.LessonProgress{Enrollment: first[3].Enrollment, Lesson: first[3].Lesson, CompletedAt: zoned(first[3].CompletedAt)}, added)
		setProgress(t, b)
		want := append(slices.Clone(first), added)
		pairs := slices.Clone(want)
		for i := range pairs {
			pairs[i].CompletedAt = time.Time{}
		}
		got, err := b.Courses.ProgressAt(timeout(t), append(pairs, courses.LessonProgress{Enrollment: e[1].ID, Lesson: 5000}))
		require.NoError(t, err)
		require.ElementsMatch(t, want, got)
		got, err = b.Courses.ProgressAt(timeout(t), nil)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	s.run("LockEnrollments returns the versions of those that exist", func(t *testing.T, b *storage.Backend) {
		users := insertUsers(t, b, person("anna"), person("boris"))
		c := insertCourses(t, b, course("one", users[0].ID))[0]
		e := insertEnrollments(t, b, enrolled(c.ID, users[0].ID, courses.Active), enrolled(c.ID, users[1].ID, courses.Active))
		write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.UpdateEnrollments(ctx, e[1:]) })
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			got, err := tx.LockEnrollments(ctx, []courses.EnrollmentID{e[1].ID, e[0].ID, e[1].ID + 1000})
			if err == nil && (len(got) != 2 || got[e[0].ID] != 1 || got[e[1].ID] != 2) {
				err = fmt.Errorf("the versions are %v", got)
			}
			return err
		})
	})
	s.run("enrollments are walked through by slug, time and id, and their progress in the same order", func(t *testing.T, b *storage.Backend) {
		r := random(t)
		ctx := timeout(t)
		teacher := insertUsers(t, b, person("teacher"))[0].ID
		list := insertCourses(t, b, course("b", teacher), course("a", teacher), course("a-z", teacher), course("empty", teacher))
		var modules []courses.Module
		for _, c := range list[:3] {
			for _, at := range []int{7, 3} {
				modules = append(modules, courses.Module{CourseID: c.ID, Title: "M", Position: at})
			}
		}
		var lessons []courses.Lesson
		for _, m := range insertModules(t, b, modules...) {
			for _, at := range []int{4, 1, 9} {
				lessons = append(lessons, courses.Lesson{CourseID: m.CourseID, ModuleID: m.ID, ModulePosition: m.Position, Title: "L", Kind: courses.Text, Position: at})
			}
		}
		lessons = insertLessons(t, b, lessons...)
		var all []courses.Enrollment
		for i := range size(200, 30) {
			user := insertUsers(t, b, person(fmt.Sprintf("learner-%d", i)))[0].ID
			for _, c := range list[:3] {
				if r.IntN(3) > 0 {
					e := enrolled(c.ID, user, courses.EnrollmentStatuses[r.IntN(5)])
					e.EnrolledAt = day.Add(time.Duration(r.IntN(4)) * time.Microsecond) // many at once
					all = append(all, e)
				}
			}
		}
		all = insertEnrollments(t, b, all...)
		slugs := map[courses.CourseID]string{}
		for _, c := range list {
			slugs[c.ID] = c.Slug
		}
		slices.SortFunc(all, func(a, b courses.Enrollment) int {
			return cmp.Or(strings.Compare(slugs[a.Course], slugs[b.Course]), a.EnrolledAt.Compare(b.EnrolledAt), cmp.Compare(a.ID, b.ID))
		})
		for _, limit := range []int{1, 7, 1000} {
			got := walked(t, limit, func(last *courses.Enrollment) ([]courses.Enrollment, error) {
				var after courses.EnrollmentPlace
				if last != nil {
					after = courses.EnrollmentPlace{Course: last.Slug, At: last.EnrolledAt, ID: last.ID}
				}
				counted, counter := storage.CountQueries(ctx)
				page, err := b.Courses.EnrollmentsAfter(counted, after, limit)
				require.LessOrEqual(t, counter.Count(), 2)
				for _, e := range page {
					require.Equal(t, slugs[e.Course], e.Slug)
				}
				return page, err
			})
			require.Equal(t, unread(all), unread(got))
		}
		_, err := b.Courses.EnrollmentsAfter(ctx, courses.EnrollmentPlace{Course: "a\x00"}, 1)
		require.ErrorIs(t, err, core.ErrInvalid)

		// Their progress, with a lesson that is gone and one of another course.
		type line struct {
			at courses.Place
			p  courses.LessonProgress
		}
		var progress []courses.LessonProgress
		var want []line
		var ids []courses.EnrollmentID
		for _, e := range all {
			ids = append(ids, e.ID)
			own := slices.DeleteFunc(slices.Clone(lessons), func(l courses.Lesson) bool { return l.CourseID != e.Course || r.IntN(2) == 0 })
			slices.SortFunc(own, func(a, b courses.Lesson) int {
				return cmp.Or(cmp.Compare(a.ModulePosition, b.ModulePosition), cmp.Compare(a.Position, b.Position))
			})
			for _, l := range own {
				p := courses.LessonProgress{Enrollment: e.ID, Lesson: l.ID, CompletedAt: day}
				progress = append(progress, p)
				want = append(want, line{courses.Place{Course: slugs[e.Course], Module: l.ModulePosition, Lesson: l.Position}, p})
			}
			progress = append(progress, courses.LessonProgress{Enrollment: e.ID, Lesson: 987654, CompletedAt: day})
		}
		setProgress(t, b, progress...)
		r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		var got []line
		counted, counter := storage.CountQueries(ctx)
		require.NoError(t, b.Courses.ProgressOf(counted, ids, func(at courses.Place, p courses.LessonProgress) error {
			got = append(got, line{at, p})
			return nil
		}))
		require.Equal(t, 1, counter.Count())
		require.Equal(t, want, got)
		errStop, visits := errors.New("stop"), 0
		require.ErrorIs(t, b.Courses.ProgressOf(ctx, ids, func(courses.Place, courses.LessonProgress) error {
			visits++
			return errStop
		}), errStop)
		require.Equal(t, 1, visits)
		require.NoError(t, b.Courses.ProgressOf(ctx, nil, nil))
	})
}
