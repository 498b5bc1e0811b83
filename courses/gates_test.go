package courses_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// closedFor is a gate of an embedder.
type closedFor struct{ slug string }

func (g closedFor) Closed(_ context.Context, v courses.Visit, lessons []courses.Lesson) ([][]string, error) {
	closed := make([][]string, len(lessons))
	if v.Course.Slug == g.slug {
		for i := range closed {
			closed[i] = []string{"school.holiday"}
		}
	}
	if v.Course.Title == "Odd" {
		return closed[1:], nil
	}
	return closed, nil
}

func TestGates(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		before := w.free(t, "Before")
		c := w.in(t, w.course(t, "Paid"), courses.Published)
		_, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Prerequisites: &[]string{before.Slug}})
		require.NoError(t, err)
		preview := w.lesson(t, c.Slug, courses.NewLesson{FreePreview: true})
		late := w.clock.Now().Add(24 * time.Hour)
		dated := w.lesson(t, c.Slug, courses.NewLesson{OpensAt: &late})
		after := w.lesson(t, c.Slug, courses.NewLesson{OpensAfterDays: 3})
		first := w.lessons(t, c.Slug)[0]
		reasons := func(by core.Actor) map[courses.LessonID][]string {
			page, err := w.Lessons(t.Context(), by, c.Slug, 0, core.Page{})
			require.NoError(t, err)
			got := map[courses.LessonID][]string{}
			for _, l := range page.Items {
				got[l.ID] = l.Reasons
				require.Equal(t, len(l.Reasons) > 0, l.Locked)
				require.Equal(t, l.Locked, l.Content == "")
				one, err := w.Lesson(t.Context(), by, c.Slug, l.ID)
				require.NoError(t, err)
				require.Equal(t, l, one)
			}
			return got
		}
		const (
			enroll, pay, first1, wait = courses.ReasonEnrollment, courses.ReasonPayment, courses.ReasonPrerequisites, courses.ReasonNotYet
		)
		outside := map[courses.LessonID][]string{first: {enroll, pay, first1}, preview.ID: nil, dated.ID: {enroll, pay, wait, first1}, after.ID: {enroll, pay, first1}}
		open := map[courses.LessonID][]string{first: nil, preview.ID: nil, dated.ID: nil, after.ID: nil}
		require.Equal(t, outside, reasons(w.nobody))
		require.Equal(t, outside, reasons(w.sam))
		for _, by := range []core.Actor{w.ann, w.pam, w.admin} {
			require.Equal(t, open, reasons(by))
		}
		e, err := w.Grant(t.Context(), w.ann, c.Slug, "sam")
		require.NoError(t, err)
		require.Equal(t, map[courses.LessonID][]string{first: {first1}, preview.ID: nil, dated.ID: {wait, first1}, after.ID: {wait, first1}}, reasons(w.sam))
		_, err = w.CompleteLesson(t.Context(), w.sam, e.ID, first)
		require.ErrorIs(t, err, courses.ErrLessonLocked)
		require.Equal(t, []string{"lesson"}, fields(t, err))

		was, err := w.Enroll(t.Context(), w.sam, before.Slug, "")
		require.NoError(t, err)
		_, err = w.CompleteLesson(t.Context(), w.sam, was.ID, w.lessons(t, before.Slug)[0])
		require.NoError(t, err)
		require.Equal(t, map[courses.LessonID][]string{first: nil, preview.ID: nil, dated.ID: {wait}, after.ID: {wait}}, reasons(w.sam))
		_, err = w.CompleteLesson(t.Context(), w.sam, e.ID, first)
		require.NoError(t, err)
		l, err := w.Lesson(t.Context(), w.sam, c.Slug, after.ID)
		require.NoError(t, err)
		require.Equal(t, e.EnrolledAt.Add(72*time.Hour), l.Opens)
		w.clock.add(24 * time.Hour)
		require.Equal(t, map[courses.LessonID][]string{first: nil, preview.ID: nil, dated.ID: nil, after.ID: {wait}}, reasons(w.sam))
		_, err = w.EditLesson(t.Context(), w.ann, c.Slug, after.ID, courses.LessonEdit{OpensAfterDays: ptr(0), OpensAt: &time.Time{}})
		require.NoError(t, err)
		require.Equal(t, open, reasons(w.sam))

		own := w.service(t, closedFor{c.Slug})
		_, err = own.SetResume(t.Context(), w.sam, e.ID, courses.Resume{Lesson: first})
		require.ErrorIs(t, err, courses.ErrLessonLocked)
		page, err := own.Lessons(t.Context(), w.sam, c.Slug, 0, core.Page{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, []string{"school.holiday"}, page.Items[0].Reasons)
		_, err = w.Edit(t.Context(), w.ann, before.Slug, courses.CourseEdit{Title: ptr("Odd")})
		require.NoError(t, err)
		_, err = own.Lessons(t.Context(), w.sam, before.Slug, 0, core.Page{})
		require.ErrorIs(t, err, core.ErrInternal, "a gate that answers for too few")
	})
}

// rights keeps what each visit tells a gate of the right of who visits.
type rights struct{ seen []courses.Learner }

func (g *rights) Closed(_ context.Context, v courses.Visit, lessons []courses.Lesson) ([][]string, error) {
	g.seen = append(g.seen, v.Learner)
	return make([][]string, len(lessons)), nil
}

func TestAGateIsToldTheRightOfALearner(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		gate := new(rights)
		w.Service = w.service(t, gate)
		c := w.paid(t, "Go")
		lesson := w.lessons(t, c.Slug)[0]
		o := w.ordered(t, w.sam, c.Slug, "")
		w.pay(t, o.ID)
		learner, err := w.Learner(t.Context(), c.ID, w.sam.UserID)
		require.NoError(t, err)
		require.Equal(t, o.ID, learner.Right.Order)
		gate.seen = nil
		_, err = w.Lesson(t.Context(), w.sam, c.Slug, lesson)
		require.NoError(t, err)
		_, err = w.SetResume(t.Context(), w.sam, learner.Enrollment.ID, courses.Resume{Lesson: lesson})
		require.NoError(t, err)
		_, err = w.CompleteLesson(t.Context(), w.sam, learner.Enrollment.ID, lesson)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(gate.seen), 2)
		for _, seen := range gate.seen {
			require.Equal(t, []any{true, learner.Right, learner.Enrollment.ID}, []any{seen.Entitled, seen.Right, seen.Enrollment.ID})
		}
	})
}

func TestPrerequisites(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		a, b, c := w.free(t, "A"), w.free(t, "B"), w.free(t, "C")
		hidden, err := w.Create(t.Context(), w.bob, courses.NewCourse{Title: "Hidden"})
		require.NoError(t, err)
		set := func(slug string, before ...string) (courses.Course, error) {
			return w.Edit(t.Context(), w.ann, slug, courses.CourseEdit{Prerequisites: &before})
		}
		got, err := set(c.Slug, b.Slug, a.Slug)
		require.NoError(t, err)
		require.Equal(t, []string{a.Slug, b.Slug}, got.Prerequisites)
		require.Equal(t, c.Version+1, got.Version)
		read, err := w.Course(t.Context(), w.nobody, c.Slug)
		require.NoError(t, err)
		require.Equal(t, got, read)
		w.events(t)
		again, err := set(c.Slug, a.Slug, b.Slug)
		require.NoError(t, err)
		require.Equal(t, got, again)
		require.Empty(t, w.events(t))
		_, err = set(b.Slug, a.Slug)
		require.NoError(t, err)
		for _, around := range [][2]string{{a.Slug, a.Slug}, {a.Slug, b.Slug}, {a.Slug, c.Slug}, {b.Slug, c.Slug}} {
			_, err = set(around[0], around[1])
			require.ErrorIs(t, err, courses.ErrPrerequisiteCycle)
		}
		_, err = set(a.Slug, "nothing", hidden.Slug)
		require.Equal(t, []string{"prerequisites[0]", "prerequisites[1]"}, fields(t, err))
		in := whole("D")
		in.Prerequisites = []string{c.Slug}
		d, err := w.Create(t.Context(), w.ann, in)
		require.NoError(t, err)
		require.Equal(t, []string{c.Slug}, d.Prerequisites)
		require.NoError(t, w.Delete(t.Context(), w.ann, d.Slug, 0))
		got, err = set(c.Slug)
		require.NoError(t, err)
		require.Empty(t, got.Prerequisites)

		// Two at once cannot come before each other.
		_, err = set(b.Slug)
		require.NoError(t, err)
		for range 4 * scale() {
			errs := together(2, func(i int) error {
				_, err := set([]string{a.Slug, b.Slug}[i], []string{b.Slug, a.Slug}[i])
				return err
			})
			require.Len(t, errs, 2)
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else {
					require.ErrorIs(t, err, courses.ErrPrerequisiteCycle)
				}
			}
			require.Equal(t, 1, won)
			for _, slug := range []string{a.Slug, b.Slug} {
				_, err := set(slug)
				require.NoError(t, err)
			}
		}
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// TestTimesThatNoAnswerCanCarry holds that a time beyond the years of RFC 3339 is not
// stored, and that none comes of a sum.
func TestTimesThatNoAnswerCanCarry(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		ctx, c := t.Context(), w.free(t, "Go")
		lesson := w.lessons(t, c.Slug)[0]
		for _, at := range []time.Time{
			time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -23*3600)), time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC),
			time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)),
		} {
			_, err := w.EditLesson(ctx, w.ann, c.Slug, lesson, courses.LessonEdit{OpensAt: &at})
			require.ErrorIs(t, err, core.ErrInvalid)
			require.Equal(t, []string{"opens_at"}, fields(t, err))
			_, err = w.CreateLesson(ctx, w.ann, c.Slug, 1, courses.NewLesson{Title: "Far", Kind: courses.Text, OpensAt: &at})
			require.ErrorIs(t, err, core.ErrInvalid)
			require.Equal(t, []string{"opens_at"}, fields(t, err))
			for _, field := range []string{"starts_at", "ends_at"} {
				in := courses.NewCoupon{Code: "FAR", Percent: 5}
				if text := at.Format(time.RFC3339); field == "starts_at" {
					in.StartsAt = text
				} else {
					in.EndsAt = text
				}
				_, err = w.CreateCoupon(ctx, w.admin, in)
				require.ErrorIs(t, err, core.ErrInvalid)
				require.Equal(t, []string{field}, fields(t, err))
			}
		}
		stored, err := w.Lesson(ctx, w.ann, c.Slug, lesson)
		require.NoError(t, err)
		require.Zero(t, stored.OpensAt)

		_, err = w.EditLesson(ctx, w.ann, c.Slug, lesson, courses.LessonEdit{OpensAfterDays: ptr(3650)})
		require.NoError(t, err)
		e, err := w.Enroll(ctx, w.sam, c.Slug, "")
		require.NoError(t, err)
		require.NoError(t, w.backend.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) error { // as an import does
			e.EnrolledAt = time.Date(9995, 1, 1, 0, 0, 0, 0, time.UTC)
			return tx.UpdateEnrollments(ctx, []courses.Enrollment{e})
		}))
		stored, err = w.Lesson(ctx, w.sam, c.Slug, lesson)
		require.NoError(t, err)
		require.Equal(t, core.LastTime, stored.Opens)
	})
}
