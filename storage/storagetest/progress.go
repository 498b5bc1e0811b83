package storagetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// progress are the cases of what is done.
func (s suite) progress() {
	s.run("CompleteLesson says whether it was new, and a time that is stored stays", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		e := enroll(t, b, enrollment(cl.courses[0], 7))[0]
		first, second := cl.lessons[0][0].ID, cl.lessons[0][1].ID
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			for _, step := range []struct {
				courses.LessonProgress
				new bool
			}{
				{courses.LessonProgress{Enrollment: e.ID, Lesson: first, CompletedAt: day}, true},
				{courses.LessonProgress{Enrollment: e.ID, Lesson: first, CompletedAt: day.Add(time.Hour)}, false},
				{courses.LessonProgress{Enrollment: e.ID, Lesson: second, CompletedAt: day}, true},
				{courses.LessonProgress{Enrollment: e.ID, Lesson: 10_000, CompletedAt: day}, true}, // which need not be there
				{courses.LessonProgress{Enrollment: e.ID, Lesson: 10_000, CompletedAt: day}, false},
				{courses.LessonProgress{Enrollment: 404, Lesson: first, CompletedAt: day}, false}, // nor that, which then adds nothing
			} {
				added, err := tx.CompleteLesson(ctx, step.LessonProgress)
				if err != nil || added != step.new {
					return fmt.Errorf("%+v was new: %t, want %t: %w", step.LessonProgress, added, step.new, err)
				}
			}
			return nil
		})
		got := enrollmentNow(t, b, e.ID)
		require.Equal(t, []int{2, 2, 100}, []int{got.Lessons, got.Done, got.Percent()}, "lessons that are not of the course do not count")
		require.EqualValues(t, 1, got.Version, "progress alone is no change")
		done, err := b.Courses.CompletedLessons(timeout(t), e.ID, 0, 10)
		require.NoError(t, err)
		want := []courses.LessonProgress{{Enrollment: e.ID, Lesson: first, CompletedAt: day}, {Enrollment: e.ID, Lesson: second, CompletedAt: day}}
		require.Equal(t, want, done)
		done, err = b.Courses.CompletedLessons(timeout(t), e.ID, first, 10)
		require.NoError(t, err)
		require.Equal(t, want[1:], done)
		done, err = b.Courses.CompletedLessons(timeout(t), e.ID, 0, 1)
		require.NoError(t, err)
		require.Equal(t, want[:1], done)
	})
	s.run("CompleteLesson waits for who has locked the enrollment", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		e := enroll(t, b, enrollment(cl.courses[0], 7))[0]
		var left, seen courses.EnrollmentStatus
		var wait sync.WaitGroup
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			locked, err := tx.EnrollmentForUpdate(ctx, e.ID)
			if err != nil {
				return err
			}
			wait.Go(func() {
				assert.NoError(t, b.Courses.Update(timeout(t), func(ctx context.Context, tx courses.Tx) error {
					if _, err := tx.CompleteLesson(ctx, courses.LessonProgress{Enrollment: e.ID, Lesson: cl.lessons[0][0].ID, CompletedAt: day}); err != nil {
						return err
					}
					now, err := tx.EnrollmentByID(ctx, e.ID)
					seen = now.Status
					return err
				}))
			})
			time.Sleep(20 * time.Millisecond) // long enough for one that does not wait to have read
			locked.Status = courses.Cancelled
			left = locked.Status
			return tx.UpdateEnrollments(ctx, []courses.Enrollment{locked})
		})
		wait.Wait()
		require.Equal(t, left, seen)
	})
	s.run("Attendance is an enrollment with its course and a lesson of that, by one statement", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		e := enroll(t, b, enrollment(cl.courses[0], 7), enrollment(cl.courses[1], 7))[0]
		lesson := cl.lessons[0][0]
		ctx, queries := storage.CountQueries(timeout(t))
		got, err := b.Courses.Attendance(ctx, e.ID, lesson.ID)
		require.NoError(t, err)
		require.LessOrEqual(t, queries.Count(), 1)
		course, err := b.Courses.CourseBySlug(timeout(t), cl.courses[0].Slug)
		require.NoError(t, err)
		course.Tags = nil
		whole, err := b.Courses.LessonByID(timeout(t), course.ID, lesson.ID)
		require.NoError(t, err)
		want := enrollmentNow(t, b, e.ID)
		want.Lessons, want.Done = 0, 0
		require.Equal(t, courses.Attendance{Enrollment: want, Course: course, Lesson: whole}, got)
		for _, other := range []courses.LessonID{cl.lessons[1][0].ID, 404} {
			got, err := b.Courses.Attendance(timeout(t), e.ID, other)
			require.NoError(t, err)
			require.Equal(t, courses.Attendance{Enrollment: want, Course: course}, got)
		}
		_, err = b.Courses.Attendance(timeout(t), 404, lesson.ID)
		require.ErrorIs(t, err, courses.ErrEnrollmentNotFound)
	})
	s.run("what was done stays when its lesson is moved, and is not counted when it is gone", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		e := enroll(t, b, enrollment(cl.courses[0], 7))[0]
		last, first := cl.lessons[0][0], cl.lessons[0][1]
		next := func(want courses.LessonID) {
			got, err := b.Courses.NextLesson(timeout(t), e.ID)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		next(first.ID)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.CompleteLesson(ctx, courses.LessonProgress{Enrollment: e.ID, Lesson: first.ID, CompletedAt: day})
			return err
		})
		next(last.ID)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return tx.PlaceLessons(ctx, first.CourseID, first.ModuleID, []courses.LessonID{last.ID, first.ID})
		})
		require.Equal(t, 1, enrollmentNow(t, b, e.ID).Done)
		next(last.ID)
		write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.DeleteLesson(ctx, first.CourseID, first.ID) })
		got := enrollmentNow(t, b, e.ID)
		require.Equal(t, []int{1, 0}, []int{got.Lessons, got.Done})
		done, err := b.Courses.CompletedLessons(timeout(t), e.ID, 0, 10)
		require.NoError(t, err)
		require.Empty(t, done)
		write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.DeleteLesson(ctx, last.CourseID, last.ID) })
		next(0)
	})
	s.run("RecountLearning writes only what differs and returns what did", func(t *testing.T, b *storage.Backend) {
		if s.limits.SetStats == nil {
			t.Skip("the suite cannot set the statistics of this storage")
		}
		cl := newClass(t, b)
		done := enrollment(cl.courses[1], 8)
		done.Status, done.CompletedAt = courses.Completed, day
		enroll(t, b, enrollment(cl.courses[0], 7), enrollment(cl.courses[1], 7), done)
		recount := func(ids ...courses.CourseID) (changed []courses.CourseID) {
			write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
				changed, err = tx.RecountLearning(ctx, ids)
				return err
			})
			return changed
		}
		require.Empty(t, recount())
		for _, c := range cl.courses {
			s.limits.SetStats(t, b, c.ID, courses.Stats{Students: 9, Completions: 9, ReviewCount: 3, RatingSum: 5})
		}
		require.Equal(t, []courses.CourseID{cl.courses[0].ID}, recount(cl.courses[0].ID))
		require.Equal(t, [][2]int64{{1, 0}, {9, 9}}, seatsOf(t, b, "one", "two"))
		require.Equal(t, []courses.CourseID{cl.courses[1].ID}, recount())
		require.Equal(t, [][2]int64{{1, 0}, {2, 1}}, seatsOf(t, b, "one", "two"))
		require.EqualValues(t, 3, bySlug(t, b, "two").Stats.ReviewCount, "reviews are not counted here")
	})
}

// around are the cases of what is beside enrollments.
func (s suite) around() {
	s.run("a course keeps its capacity, and a lesson when it opens", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		c := cl.courses[0]
		c.Capacity = 12
		require.NoError(t, updateCourses(t, b, c))
		require.Equal(t, 12, bySlug(t, b, "one").Capacity)
		l := cl.lessons[0][0]
		l.OpensAt, l.OpensAfterDays = zoned(day), 3
		write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.UpdateLessons(ctx, []courses.Lesson{l}) })
		got, err := b.Courses.LessonByID(timeout(t), c.ID, l.ID)
		require.NoError(t, err)
		utc(t, l.OpensAt, got.OpensAt)
		require.Equal(t, 3, got.OpensAfterDays)
		l.OpensAt = time.Time{}
		write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.UpdateLessons(ctx, []courses.Lesson{l}) })
		got, err = b.Courses.LessonByID(timeout(t), c.ID, l.ID)
		require.NoError(t, err)
		require.True(t, got.OpensAt.IsZero())
	})
	s.run("SetPrerequisites replaces what comes before a course, and refuses a way round", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		ids := []courses.CourseID{cl.courses[0].ID, cl.courses[1].ID, insertCourses(t, b, course("three", cl.teachers[0]))[0].ID}
		set := func(c courses.CourseID, before ...courses.CourseID) {
			t.Helper()
			write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.SetPrerequisites(ctx, c, before) })
		}
		slugs := func(c courses.CourseID) (slugs []string) {
			found, err := b.Courses.Prerequisites(timeout(t), c)
			require.NoError(t, err)
			for _, r := range found {
				of, err := b.Courses.RefBySlug(timeout(t), r.Slug)
				require.NoError(t, err)
				require.Equal(t, of, r)
				slugs = append(slugs, r.Slug)
			}
			return slugs
		}
		set(ids[2], ids[1], ids[0])
		require.Equal(t, []string{"one", "two"}, slugs(ids[2]))
		require.Equal(t, 2, bySlug(t, b, "three").PrerequisiteCount)
		stored := bySlug(t, b, "three")
		stored.PrerequisiteCount = 9
		require.NoError(t, updateCourses(t, b, stored))
		require.Equal(t, 2, bySlug(t, b, "three").PrerequisiteCount, "UpdateCourses leaves it")
		set(ids[1], ids[0])
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			for _, round := range [][2]courses.CourseID{{ids[0], ids[0]}, {ids[0], ids[1]}, {ids[0], ids[2]}} {
				if err := expect(tx.SetPrerequisites(ctx, round[0], []courses.CourseID{round[1]}), courses.ErrPrerequisiteCycle); err != nil {
					return err
				}
			}
			return nil
		})
		require.Empty(t, slugs(ids[0]), "what is refused changes nothing")
		last := ids[2]
		for i := range 4 { // a longer way
			next := insertCourses(t, b, course(fmt.Sprint("next-", i), cl.teachers[0]))[0].ID
			set(next, last)
			last = next
		}
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return expect(tx.SetPrerequisites(ctx, ids[0], []courses.CourseID{last}), courses.ErrPrerequisiteCycle)
		})
		require.Empty(t, slugs(ids[0]))

		done := enrollment(cl.courses[1], 7)
		done.Status, done.CompletedAt, done.EndedAt = courses.Cancelled, day, day
		back := done
		back.User, back.Status = 9, courses.Refunded
		enroll(t, b, done, enrollment(cl.courses[0], 7), back)
		unmet, err := b.Courses.Unmet(timeout(t), ids[2], 7)
		require.NoError(t, err)
		require.Equal(t, []courses.CourseID{ids[0]}, unmet, "what was completed once is met, what is only begun is not")
		unmet, err = b.Courses.Unmet(timeout(t), ids[2], 8)
		require.NoError(t, err)
		require.Equal(t, ids[:2], unmet)
		unmet, err = b.Courses.Unmet(timeout(t), ids[2], 9)
		require.NoError(t, err)
		require.Equal(t, ids[:2], unmet, "what was refunded does not count")
		set(ids[2])
		require.Empty(t, slugs(ids[2]))
		require.Zero(t, bySlug(t, b, "three").PrerequisiteCount)
		require.ErrorIs(t, writing(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.DeleteCourse(ctx, ids[0]) }), courses.ErrCourseInUse)
	})
	s.run("Bookmarked returns the courses that a user has marked and sees, the latest first", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		var list []courses.Course
		for i, status := range courses.Statuses {
			for k := range 2 {
				c := course(fmt.Sprintf("c-%d-%d", i, k), cl.teachers[k])
				c.Status, c.Tags = status, cl.tags[:1]
				list = append(list, c)
			}
		}
		left := course("left", cl.teachers[0])
		left.Status = courses.Archived
		list = insertCourses(t, b, append(list, left)...)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			if _, err := tx.SetBookmark(ctx, courses.Bookmark{User: 9, Course: list[0].ID, At: day}, true); err != nil {
				return err
			}
			for i, c := range list {
				mark := courses.Bookmark{User: 7, Course: c.ID, At: day.Add(time.Duration(i/3) * time.Second)} // three at each time
				for n, want := range []bool{true, false} {
					if changed, err := tx.SetBookmark(ctx, mark, true); err != nil || changed != want {
						return fmt.Errorf("mark %d: %v %w", n, changed, err)
					}
				}
			}
			other := courses.Bookmark{User: 8, Course: list[0].ID, At: day}
			for _, on := range []bool{true, false} {
				if changed, err := tx.SetBookmark(ctx, other, on); err != nil || !changed {
					return fmt.Errorf("%v: %v %w", on, changed, err)
				}
			}
			if changed, err := tx.SetBookmark(ctx, other, false); err != nil || changed {
				return fmt.Errorf("nothing to take away: %v %w", changed, err)
			}
			n, err := tx.CountBookmarks(ctx, 7)
			if err == nil && n != len(list) {
				err = fmt.Errorf("%d marks", n)
			}
			return err
		})
		archived := list[7] // of the second teacher
		require.Equal(t, courses.Archived, archived.Status)
		cancelled, refunded := enrollment(list[6], 7), enrollment(list[8], 7) // who has left sees them no more
		cancelled.Status, cancelled.EndedAt, refunded.Status, refunded.EndedAt = courses.Cancelled, day, courses.Refunded, day
		draft := list[1] // which was published once
		require.Equal(t, courses.Draft, draft.Status)
		enroll(t, b, enrollment(archived, 7), enrollment(draft, 7), cancelled, refunded)
		for _, teachers := range [][]core.UserID{nil, {}, {cl.teachers[0]}} {
			want := []string{}
			for i := len(list) - 1; i >= 0; i-- {
				c := list[i]
				if teachers == nil || c.Status == courses.Published || slices.Contains(teachers, c.Teacher.ID) || c.ID == archived.ID || c.ID == draft.ID {
					want = append(want, c.Slug)
				}
			}
			got := []string{}
			for q := (courses.BookmarkQuery{User: 7, Teachers: teachers, Limit: 2}); ; {
				ctx, queries := storage.CountQueries(timeout(t))
				hits, err := b.Courses.Bookmarked(ctx, q)
				require.NoError(t, err)
				require.LessOrEqual(t, queries.Count(), 2)
				for _, h := range hits {
					got = append(got, h.Course.Slug)
					require.Equal(t, bySlug(t, b, h.Course.Slug), plain(h.Course))
					q.After = &h.Position
				}
				if len(hits) < q.Limit {
					break
				}
			}
			require.Equal(t, want, got)
		}
		require.ErrorIs(t, writing(t, b, func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.SetBookmark(ctx, courses.Bookmark{User: 7, Course: 404_404, At: day}, true)
			return err
		}), courses.ErrCourseNotFound)
		write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.DeleteCourse(ctx, list[0].ID) }) // with its marks
		require.ErrorIs(t, writing(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.DeleteCourse(ctx, archived.ID) }), courses.ErrCourseInUse, "it has a learner")
	})
	s.run("a list with Seated also has the courses in which that user holds a seat", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		var list []courses.Course
		for i := range 6 {
			c := course(fmt.Sprint("archived-", i), cl.teachers[i%3])
			c.Status = courses.Archived
			list = append(list, c)
		}
		list = insertCourses(t, b, list...)
		ended := enrollment(list[2], 7)
		ended.Status, ended.EndedAt = courses.Cancelled, day
		enroll(t, b, enrollment(list[1], 7), ended, enrollment(list[3], 8))
		for _, teachers := range [][]core.UserID{{}, {cl.teachers[0]}} {
			q := courses.ListQuery{Status: courses.Archived, Teachers: teachers, Seated: 7, Sort: courses.Newest, Limit: 10}
			want := map[string]bool{"archived-1": true}
			if len(teachers) > 0 {
				want["archived-0"], want["archived-3"] = true, true
			}
			hits, err := b.Courses.ListCourses(timeout(t), q)
			require.NoError(t, err)
			got := map[string]bool{}
			for _, h := range hits {
				got[h.Course.Slug] = true
			}
			require.Equal(t, want, got)
			n, err := b.Courses.CountCourses(timeout(t), q)
			require.NoError(t, err)
			require.Equal(t, len(want), n)
		}
	})
}
