package courses_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// lesson adds a lesson to the first module of a course.
func (w *world) lesson(t testing.TB, slug string, in courses.NewLesson) courses.Lesson {
	t.Helper()
	modules, err := w.Modules(t.Context(), w.ann, slug, core.Page{})
	require.NoError(t, err)
	if in.Title = "Lesson"; in.Kind == "" {
		in.Kind, in.Content = courses.Text, "Hello"
	}
	l, err := w.CreateLesson(t.Context(), w.ann, slug, modules.Items[0].ID, in)
	require.NoError(t, err)
	return l
}

// lessons returns the ids of a course's lessons.
func (w *world) lessons(t testing.TB, slug string) (ids []courses.LessonID) {
	t.Helper()
	page, err := w.Lessons(t.Context(), w.ann, slug, 0, core.Page{Limit: 100})
	require.NoError(t, err)
	for _, l := range page.Items {
		ids = append(ids, l.ID)
	}
	return ids
}

func TestProgressIsOfTheLessonsThatAreThere(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.free(t, "Free")
		for range 2 {
			w.lesson(t, c.Slug, courses.NewLesson{})
		}
		ids := w.lessons(t, c.Slug)
		e, err := w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		w.events(t)
		progress := func() courses.Progress {
			p, err := w.Progress(t.Context(), w.sam, e.ID, core.Page{})
			require.NoError(t, err)
			return p
		}
		require.Equal(t, ids[0], progress().Next)
		for i, percent := range []int{33, 66, 100} {
			got, err := w.CompleteLesson(t.Context(), w.sam, e.ID, ids[i])
			require.NoError(t, err)
			require.Equal(t, percent, got.Percent())
			require.False(t, got.StartedAt.IsZero())
			again, err := w.CompleteLesson(t.Context(), w.sam, e.ID, ids[i])
			require.NoError(t, err)
			require.Equal(t, got, again)
			p := progress()
			require.Equal(t, got, p.Enrollment)
			require.Len(t, p.Completed.Items, i+1)
		}
		done := progress()
		require.Zero(t, done.Next)
		require.Equal(t, courses.Completed, done.Enrollment.Status)
		require.False(t, done.Enrollment.CompletedAt.IsZero())
		require.Equal(t, courses.Stats{Students: 1, Completions: 1}, w.stats(t, c.Slug))
		require.Equal(t, []string{
			courses.EventLessonCompleted, courses.EventLessonCompleted, courses.EventLessonCompleted, courses.EventCompleted,
		}, w.events(t))

		added := w.lesson(t, c.Slug, courses.NewLesson{})
		p := progress()
		require.Equal(t, 75, p.Enrollment.Percent())
		require.Equal(t, added.ID, p.Next)
		require.Equal(t, done.Enrollment.CompletedAt, p.Enrollment.CompletedAt, "what was completed stays so")
		require.NoError(t, w.DeleteLesson(t.Context(), w.ann, c.Slug, ids[0], 0))
		p = progress()
		require.Equal(t, 66, p.Enrollment.Percent())
		_, err = w.CompleteLesson(t.Context(), w.sam, e.ID, ids[0])
		require.ErrorIs(t, err, courses.ErrLessonNotFound)
		require.Equal(t, done.Enrollment.CompletedAt, progress().Enrollment.CompletedAt)

		_, err = w.Cancel(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		require.Equal(t, courses.Stats{}, w.stats(t, c.Slug))
		_, err = w.CompleteLesson(t.Context(), w.sam, e.ID, added.ID)
		require.ErrorIs(t, err, courses.ErrNotSeated)
		back, err := w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		require.Equal(t, courses.Completed, back.Status, "who comes back is where they were")
		require.Equal(t, courses.Stats{Students: 1, Completions: 1}, w.stats(t, c.Slug))
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// What is deleted meanwhile may be what was left to do: the next lesson that is done,
// new or not, completes the course.
func TestADeletedLessonDoesNotKeepACourseOpen(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.free(t, "Free")
		w.lesson(t, c.Slug, courses.NewLesson{})
		ids := w.lessons(t, c.Slug)
		e, err := w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		_, err = w.CompleteLesson(t.Context(), w.sam, e.ID, ids[0])
		require.NoError(t, err)
		require.NoError(t, w.DeleteLesson(t.Context(), w.ann, c.Slug, ids[1], 0))
		e, err = w.Enrollment(t.Context(), w.sam, e.ID)
		require.NoError(t, err)
		require.Equal(t, 100, e.Percent())
		require.Equal(t, courses.Active, e.Status)
		e, err = w.CompleteLesson(t.Context(), w.sam, e.ID, ids[0])
		require.NoError(t, err)
		require.Equal(t, courses.Completed, e.Status)
	})
}

func TestWhoSeesAnEnrollment(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.free(t, "Free")
		ids := w.lessons(t, c.Slug)
		e, err := w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		other := w.person(t, "other", core.Student)
		stranger := w.person(t, "pia", core.Producer)
		for _, by := range []core.Actor{w.sam, w.ann, w.pam, w.admin} {
			got, err := w.Enrollment(t.Context(), by, e.ID)
			require.NoError(t, err)
			require.Equal(t, e, got)
			_, err = w.Progress(t.Context(), by, e.ID, core.Page{})
			require.NoError(t, err)
		}
		refused := map[core.Actor]error{
			w.nobody: core.ErrUnauthenticated, other: courses.ErrEnrollmentNotFound, w.bob: courses.ErrEnrollmentNotFound, stranger: courses.ErrEnrollmentNotFound,
		}
		for by, want := range refused {
			_, err := w.Enrollment(t.Context(), by, e.ID)
			require.ErrorIs(t, err, want)
			_, err = w.Progress(t.Context(), by, e.ID, core.Page{})
			require.ErrorIs(t, err, want)
		}
		refused[w.ann], refused[w.admin] = core.ErrForbidden, core.ErrForbidden
		for by, want := range refused {
			_, err := w.CompleteLesson(t.Context(), by, e.ID, ids[0])
			require.ErrorIs(t, err, want)
			_, err = w.SetResume(t.Context(), by, e.ID, courses.Resume{Lesson: ids[0]})
			require.ErrorIs(t, err, want)
		}
		_, err = w.Enrollment(t.Context(), w.sam, e.ID+1)
		require.ErrorIs(t, err, courses.ErrEnrollmentNotFound)

		_, err = w.Enroll(t.Context(), other, c.Slug, "")
		require.NoError(t, err)
		lists := []struct {
			by   core.Actor
			f    courses.EnrollmentFilter
			want []string // usernames, or the error
			err  error
		}{
			{by: w.nobody, err: core.ErrUnauthenticated},
			{by: w.sam, want: []string{"sam"}},
			{by: w.bob},
			{by: w.sam, f: courses.EnrollmentFilter{User: "sam"}, want: []string{"sam"}},
			{by: w.sam, f: courses.EnrollmentFilter{Course: c.Slug}, want: []string{"sam"}},
			{by: w.sam, f: courses.EnrollmentFilter{Status: courses.Waiting}},
			{by: w.sam, f: courses.EnrollmentFilter{User: "other"}, err: core.ErrForbidden},
			{by: w.sam, f: courses.EnrollmentFilter{User: "nothing"}, err: core.ErrForbidden},
			{by: w.sam, f: courses.EnrollmentFilter{Course: "nothing"}, err: core.ErrInvalid},
			{by: w.sam, f: courses.EnrollmentFilter{Status: "odd"}, err: core.ErrInvalid},
			{by: w.ann, f: courses.EnrollmentFilter{Course: c.Slug}, want: []string{"other", "sam"}},
			{by: w.pam, f: courses.EnrollmentFilter{Course: c.Slug, User: "sam"}, want: []string{"sam"}},
			{by: w.ann, f: courses.EnrollmentFilter{User: "sam"}, err: core.ErrForbidden},
			{by: w.admin},
			{by: w.admin, f: courses.EnrollmentFilter{User: "other"}, want: []string{"other"}},
			{by: w.admin, f: courses.EnrollmentFilter{User: "nothing"}, err: core.ErrInvalid},
			{by: w.admin, f: courses.EnrollmentFilter{Course: c.Slug}, want: []string{"other", "sam"}},
		}
		for _, l := range lists {
			var got []string
			for page := (core.Page{Limit: 1}); ; {
				found, err := w.Enrollments(t.Context(), l.by, l.f, page)
				require.ErrorIs(t, err, l.err, "%v", l)
				for _, e := range found.Items {
					got = append(got, e.Username)
				}
				if page.Cursor = found.Next; found.Next == "" {
					break
				}
			}
			require.Equal(t, l.want, got, "%v", l)
		}
	})
}

func TestResume(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.free(t, "Free")
		w.lesson(t, c.Slug, courses.NewLesson{})
		ids := w.lessons(t, c.Slug)
		e, err := w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		require.Zero(t, e.Resume)
		at := courses.Resume{Lesson: ids[1], Seconds: 90}
		e, err = w.SetResume(t.Context(), w.sam, e.ID, at)
		require.NoError(t, err)
		require.Equal(t, at, e.Resume)
		require.False(t, e.StartedAt.IsZero())
		again, err := w.SetResume(t.Context(), w.sam, e.ID, at)
		require.NoError(t, err)
		require.Equal(t, e, again)
		for _, seconds := range []int{-1, 7*24*3600 + 1} {
			_, err = w.SetResume(t.Context(), w.sam, e.ID, courses.Resume{Lesson: ids[1], Seconds: seconds})
			require.Equal(t, []string{"seconds"}, fields(t, err))
		}
		_, err = w.SetResume(t.Context(), w.sam, e.ID, courses.Resume{Lesson: 404})
		require.ErrorIs(t, err, courses.ErrLessonNotFound)
		require.NoError(t, w.DeleteLesson(t.Context(), w.ann, c.Slug, ids[1], 0))
		e, err = w.Enrollment(t.Context(), w.sam, e.ID)
		require.NoError(t, err)
		require.Zero(t, e.Resume, "there is no such place any more")
	})
}

func TestAnArchivedCourseIsSeenByItsLearners(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.free(t, "Free")
		lesson := w.lessons(t, c.Slug)[0]
		e, err := w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		left := w.person(t, "left", core.Student)
		_, err = w.Enroll(t.Context(), left, c.Slug, "")
		require.NoError(t, err)
		_, err = w.Cancel(t.Context(), left, c.Slug, "")
		require.NoError(t, err)
		_, err = w.Archive(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
		for by, sees := range map[core.Actor]bool{w.sam: true, w.ann: true, w.admin: true, left: false, w.bob: false, w.nobody: false} {
			want := error(courses.ErrCourseNotFound)
			if sees {
				want = nil
			}
			_, err := w.Course(t.Context(), by, c.Slug)
			require.ErrorIs(t, err, want)
			_, err = w.Modules(t.Context(), by, c.Slug, core.Page{})
			require.ErrorIs(t, err, want)
			_, err = w.Lessons(t.Context(), by, c.Slug, 0, core.Page{})
			require.ErrorIs(t, err, want)
			n, err := w.Count(t.Context(), by, courses.Filter{Status: courses.Archived})
			require.NoError(t, err)
			require.Equal(t, sees, n == 1)
		}
		_, err = w.Edit(t.Context(), w.sam, c.Slug, courses.CourseEdit{Title: ptr("Mine")})
		require.ErrorIs(t, err, core.ErrForbidden)
		_, err = w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err, "who has a seat keeps it")
		got, err := w.CompleteLesson(t.Context(), w.sam, e.ID, lesson)
		require.NoError(t, err)
		require.Equal(t, courses.Completed, got.Status)
	})
}

// TestACourseThatIsADraftAgainStaysOpenToItsLearners takes a course back to draft and
// through a review that sends it back.
func TestACourseThatIsADraftAgainStaysOpenToItsLearners(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.free(t, "Free")
		lesson := w.lessons(t, c.Slug)[0]
		e, err := w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		require.NoError(t, w.Bookmark(t.Context(), w.sam, c.Slug))
		look := func(status courses.Status) {
			t.Helper()
			for by, sees := range map[core.Actor]bool{w.sam: true, w.ann: true, w.bob: false, w.nobody: false} {
				want := error(courses.ErrCourseNotFound)
				if sees {
					want = nil
				}
				got, err := w.Course(t.Context(), by, c.Slug)
				require.ErrorIs(t, err, want, status)
				require.Equal(t, by == w.ann && status == courses.Draft, got.Rejection != "", "why it was sent back is its editors' alone")
				ref, err := w.Ref(t.Context(), by, c.Slug)
				require.ErrorIs(t, err, want)
				require.Equal(t, sees, ref.Visible)
				list, err := w.List(t.Context(), by, courses.Filter{Status: status}, courses.Newest, core.Page{})
				require.NoError(t, err)
				require.Equal(t, sees, len(list.Items) == 1, status)
				if sees {
					require.Equal(t, got.Rejection, list.Items[0].Course.Rejection)
				}
			}
			lessons, err := w.Lessons(t.Context(), w.sam, c.Slug, 0, core.Page{})
			require.NoError(t, err)
			require.False(t, lessons.Items[0].Locked)
			marked, err := w.Bookmarks(t.Context(), w.sam, core.Page{})
			require.NoError(t, err)
			require.Len(t, marked.Items, 1)
			require.Empty(t, marked.Items[0].Rejection)
			_, err = w.Enroll(t.Context(), w.person(t, "late-"+string(status), core.Student), c.Slug, "")
			require.ErrorIs(t, err, courses.ErrCourseNotFound, "it takes nobody new")
			_, err = w.Enroll(t.Context(), w.sam, c.Slug, "")
			require.NoError(t, err)
		}
		_, err = w.Archive(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
		_, err = w.Restore(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
		_, err = w.Submit(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
		look(courses.InReview)
		_, err = w.Reject(t.Context(), w.admin, c.Slug, "not yet", 0)
		require.NoError(t, err)
		look(courses.Draft)
		got, err := w.CompleteLesson(t.Context(), w.sam, e.ID, lesson)
		require.NoError(t, err)
		require.Equal(t, courses.Completed, got.Status)
		_, err = w.Cancel(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		_, err = w.Course(t.Context(), w.sam, c.Slug)
		require.ErrorIs(t, err, courses.ErrCourseNotFound, "who has left sees it no more")
	})
}

func TestBookmarks(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		a, b, draft := w.free(t, "A"), w.free(t, "B"), w.course(t, "Draft")
		w.events(t)
		require.ErrorIs(t, w.Bookmark(t.Context(), w.nobody, a.Slug), core.ErrUnauthenticated)
		require.ErrorIs(t, w.Bookmark(t.Context(), w.sam, draft.Slug), courses.ErrCourseNotFound)
		require.ErrorIs(t, w.Unbookmark(t.Context(), w.sam, draft.Slug), courses.ErrCourseNotFound)
		require.ErrorIs(t, w.Unbookmark(t.Context(), w.sam, "nothing"), courses.ErrCourseNotFound)
		require.NoError(t, w.Unbookmark(t.Context(), w.sam, a.Slug))
		for range 2 {
			require.NoError(t, w.Bookmark(t.Context(), w.sam, a.Slug))
			require.NoError(t, w.Bookmark(t.Context(), w.sam, b.Slug))
		}
		require.Equal(t, []string{courses.EventBookmarked, courses.EventBookmarked}, w.events(t))
		marks := func(by core.Actor) (slugs []string) {
			for page := (core.Page{Limit: 1}); ; {
				found, err := w.Bookmarks(t.Context(), by, page)
				require.NoError(t, err)
				for _, c := range found.Items {
					require.NotEmpty(t, c.Teacher.Username)
					slugs = append(slugs, c.Slug)
				}
				if page.Cursor = found.Next; found.Next == "" {
					return slugs
				}
			}
		}
		require.Equal(t, []string{b.Slug, a.Slug}, marks(w.sam))
		require.Empty(t, marks(w.bob))
		_, err := w.Archive(t.Context(), w.ann, b.Slug, 0)
		require.NoError(t, err)
		require.Equal(t, []string{a.Slug}, marks(w.sam), "what is not seen is not listed")
		require.NoError(t, w.Unbookmark(t.Context(), w.sam, b.Slug), "and can be unmarked")
		require.ErrorIs(t, w.Unbookmark(t.Context(), w.sam, b.Slug), courses.ErrCourseNotFound)
		require.NoError(t, w.Bookmark(t.Context(), w.ann, draft.Slug))
		require.Equal(t, []string{draft.Slug}, marks(w.ann))
		require.NoError(t, w.Delete(t.Context(), w.ann, draft.Slug, 0))
		require.Empty(t, marks(w.ann))
	})
}

// Reading costs the same whatever a course or a page has.
func TestLearningNeedsAFixedNumberOfStatements(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		before := w.free(t, "Before")
		c := w.free(t, "Free")
		_, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Prerequisites: &[]string{before.Slug}})
		require.NoError(t, err)
		e, err := w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		was, err := w.Enroll(t.Context(), w.sam, before.Slug, "")
		require.NoError(t, err)
		_, err = w.CompleteLesson(t.Context(), w.sam, was.ID, w.lessons(t, before.Slug)[0])
		require.NoError(t, err)
		require.NoError(t, w.Bookmark(t.Context(), w.sam, c.Slug))
		sqlite := w.driver == "sqlite"
		count := func(what string, most int, do func(ctx context.Context) error) {
			ctx, queries := storage.CountQueries(t.Context())
			require.NoError(t, do(ctx), what)
			require.LessOrEqual(t, queries.Count(), most, what)
		}
		for range 2 {
			count("enrollments", 2, func(ctx context.Context) error {
				_, err := w.Enrollments(ctx, w.sam, courses.EnrollmentFilter{}, core.Page{})
				return err
			})
			count("enrollments of a course", 4, func(ctx context.Context) error {
				_, err := w.Enrollments(ctx, w.ann, courses.EnrollmentFilter{Course: c.Slug}, core.Page{})
				return err
			})
			count("enrollment", 2, func(ctx context.Context) error { _, err := w.Enrollment(ctx, w.sam, e.ID); return err })
			count("progress", 4, func(ctx context.Context) error { _, err := w.Progress(ctx, w.sam, e.ID, core.Page{}); return err })
			count("lessons", 5, func(ctx context.Context) error {
				_, err := w.Lessons(ctx, w.sam, c.Slug, 0, core.Page{})
				return err
			})
			count("bookmarks", 3, func(ctx context.Context) error { _, err := w.Bookmarks(ctx, w.sam, core.Page{}); return err })
			lesson := w.lesson(t, c.Slug, courses.NewLesson{})
			w.lesson(t, c.Slug, courses.NewLesson{})
			most, seat := 16, 8 // one is the trend of the first enrollment
			if sqlite {
				most, seat = 14, 7
			}
			count("complete", most, func(ctx context.Context) error { _, err := w.CompleteLesson(ctx, w.sam, e.ID, lesson.ID); return err })
			next := w.person(t, fmt.Sprint("next-", lesson.ID), core.Student)
			count("enroll", seat, func(ctx context.Context) error { _, err := w.Enroll(ctx, next, c.Slug, ""); return err })
			_, err := w.Enroll(t.Context(), next, before.Slug, "")
			require.NoError(t, err)
		}
	})
}
