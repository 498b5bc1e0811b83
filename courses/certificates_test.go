package courses_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// taken makes a course of three lessons that sam takes.
func (w *world) taken(t *testing.T, title string) (courses.Course, courses.Enrollment) {
	t.Helper()
	c := w.free(t, title)
	for range 2 {
		w.lesson(t, c.Slug, courses.NewLesson{})
	}
	e, err := w.Enroll(t.Context(), w.sam, c.Slug, "")
	require.NoError(t, err)
	return c, e
}

func (w *world) complete(t *testing.T, c courses.Course, e courses.Enrollment) {
	t.Helper()
	for _, id := range w.lessons(t, c.Slug) {
		_, err := w.CompleteLesson(t.Context(), w.sam, e.ID, id)
		require.NoError(t, err)
	}
}

// setStatus writes the status of an enrollment, as a refund does.
func (w *world) setStatus(t *testing.T, id courses.EnrollmentID, status courses.EnrollmentStatus) {
	t.Helper()
	require.NoError(t, w.backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
		e, err := tx.EnrollmentForUpdate(ctx, id)
		if err != nil {
			return err
		}
		if e.Status, e.EndedAt = status, w.clock.Now(); status.Seated() {
			e.EndedAt = time.Time{}
		}
		return tx.UpdateEnrollments(ctx, []courses.Enrollment{e})
	}))
}

func TestACertificateIsIssuedOnceForACompletedCourse(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.shelf(t)
		c, e := w.taken(t, "Databases")
		_, err := w.IssueCertificate(ctx, w.sam, e.ID)
		require.ErrorIs(t, err, courses.ErrNotCompleted)
		_, err = w.Certificate(ctx, w.sam, e.ID)
		require.ErrorIs(t, err, courses.ErrCertificateNotFound)
		w.complete(t, c, e)
		w.events(t)
		made, err := w.IssueCertificate(ctx, w.sam, e.ID)
		require.NoError(t, err)
		require.Equal(t, []string{courses.EventCertificateIssued}, w.events(t))
		e, err = w.Enrollment(ctx, w.sam, e.ID)
		require.NoError(t, err)
		require.Equal(t, courses.Certificate{
			Enrollment: e.ID, Code: made.Code, Name: "Person sam", Course: "Databases", Slug: c.Slug, Teacher: "Person ann", Language: c.Language,
			Completed: e.CompletedAt, IssuedAt: made.IssuedAt, Status: courses.CertificateValid,
		}, made)

		// What it says is of then, but for where the course is now.
		_, err = w.Edit(ctx, w.ann, c.Slug, courses.CourseEdit{Title: ptr("Renamed"), Slug: ptr("renamed")})
		require.NoError(t, err)
		w.lesson(t, "renamed", courses.NewLesson{})
		w.events(t)
		made.Slug = "renamed"
		again, err := w.IssueCertificate(ctx, w.sam, e.ID)
		require.NoError(t, err)
		require.Equal(t, made, again)
		require.Empty(t, w.events(t))
		for _, code := range []string{made.Code, strings.ToLower(courses.FormatCertificateCode(made.Code)), strings.ReplaceAll(made.Code, "0", "o")} {
			verified, err := w.VerifyCertificate(ctx, code)
			require.NoError(t, err)
			require.Equal(t, made, verified)
		}
		for _, code := range []string{"", "0", strings.Repeat("0", 20), "' OR 1=1 --", "\x00"} {
			_, err := w.VerifyCertificate(ctx, code)
			require.ErrorIs(t, err, courses.ErrCertificateNotFound)
		}
		require.NoError(t, w.backend.Verify(ctx))
	})
}

func TestACertificateIsRevokedWhileItsEnrollmentIsRefunded(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.shelf(t)
		c, e := w.taken(t, "Databases")
		w.complete(t, c, e)
		made, err := w.IssueCertificate(ctx, w.sam, e.ID)
		require.NoError(t, err)
		for status, want := range map[courses.EnrollmentStatus]courses.CertificateStatus{
			courses.Refunded: courses.CertificateRevoked, courses.Cancelled: courses.CertificateValid, courses.Completed: courses.CertificateValid,
		} {
			w.setStatus(t, e.ID, status)
			made.Status = want
			for _, read := range []func() (courses.Certificate, error){
				func() (courses.Certificate, error) { return w.VerifyCertificate(ctx, made.Code) },
				func() (courses.Certificate, error) { return w.Certificate(ctx, w.sam, e.ID) },
				func() (courses.Certificate, error) { return w.IssueCertificate(ctx, w.sam, e.ID) },
			} {
				got, err := read()
				require.NoError(t, err)
				require.Equal(t, made, got, status)
			}
			require.NoError(t, w.backend.Verify(ctx))
		}
		// And there is none for who has none and no seat.
		c, e = w.taken(t, "Networks")
		w.complete(t, c, e)
		for _, status := range []courses.EnrollmentStatus{courses.Refunded, courses.Cancelled} {
			w.setStatus(t, e.ID, status)
			_, err := w.IssueCertificate(ctx, w.sam, e.ID)
			require.ErrorIs(t, err, courses.ErrNotSeated)
		}
	})
}

func TestACourseWhoseLastLessonsWereDeletedIsCompletedByItsCertificate(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.shelf(t)
		c, e := w.taken(t, "Databases")
		ids := w.lessons(t, c.Slug)
		for _, id := range ids[:2] {
			_, err := w.CompleteLesson(ctx, w.sam, e.ID, id)
			require.NoError(t, err)
		}
		_, err := w.IssueCertificate(ctx, w.sam, e.ID)
		require.ErrorIs(t, err, courses.ErrNotCompleted)
		require.NoError(t, w.DeleteLesson(ctx, w.ann, c.Slug, ids[2], 0))
		w.events(t)
		made, err := w.IssueCertificate(ctx, w.sam, e.ID)
		require.NoError(t, err)
		require.Equal(t, []string{courses.EventCompleted, courses.EventCertificateIssued}, w.events(t))
		e, err = w.Enrollment(ctx, w.sam, e.ID)
		require.NoError(t, err)
		require.Equal(t, e.CompletedAt, made.Completed)
		require.EqualValues(t, 1, w.stats(t, c.Slug).Completions)
		require.NoError(t, w.backend.Verify(ctx))
	})
}

func TestWhoMayHaveACertificateIssued(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.shelf(t)
		c, e := w.taken(t, "Databases")
		w.complete(t, c, e)
		for _, d := range []struct {
			by          core.Actor
			issue, read error
		}{
			{w.nobody, core.ErrUnauthenticated, core.ErrUnauthenticated},
			{w.person(t, "sue", core.Student), courses.ErrEnrollmentNotFound, courses.ErrEnrollmentNotFound},
			{w.bob, courses.ErrEnrollmentNotFound, courses.ErrEnrollmentNotFound},
			{w.ann, core.ErrForbidden, courses.ErrCertificateNotFound},
			{w.pam, core.ErrForbidden, courses.ErrCertificateNotFound},
		} {
			_, err := w.IssueCertificate(ctx, d.by, e.ID)
			require.ErrorIs(t, err, d.issue)
			_, err = w.Certificate(ctx, d.by, e.ID)
			require.ErrorIs(t, err, d.read)
		}
		_, err := w.IssueCertificate(ctx, w.sam, e.ID+1000)
		require.ErrorIs(t, err, courses.ErrEnrollmentNotFound)
		made, err := w.IssueCertificate(ctx, w.admin, e.ID)
		require.NoError(t, err)
		require.Equal(t, "Person sam", made.Name)
		for _, by := range []core.Actor{w.sam, w.ann, w.pam, w.admin} {
			got, err := w.Certificate(ctx, by, e.ID)
			require.NoError(t, err)
			require.Equal(t, made, got)
		}
		var audited int
		require.NoError(t, w.beside(t).QueryRowContext(ctx, "SELECT count(*) FROM ustat_audit WHERE action = '"+courses.EventCertificateIssued+"'").Scan(&audited))
		require.Equal(t, 1, audited, "what an admin does for another is in the log")
	})
}

func TestAHundredAtOnceIssueOneCertificate(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c, e := w.taken(t, "Databases")
		w.complete(t, c, e)
		w.events(t)
		var made [100]courses.Certificate
		for _, err := range together(len(made), func(i int) (err error) {
			by := w.sam
			if i%2 == 1 {
				by = w.admin
			}
			made[i], err = w.IssueCertificate(t.Context(), by, e.ID)
			return err
		}) {
			require.NoError(t, err)
		}
		for _, got := range made {
			require.Equal(t, made[0], got)
		}
		require.Equal(t, []string{courses.EventCertificateIssued}, w.events(t))
	})
}

func TestACertificateNeedsAFixedNumberOfStatements(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c, e := w.taken(t, "Databases")
		w.complete(t, c, e)
		var made courses.Certificate
		for _, d := range []struct {
			most int
			call func(ctx context.Context) error
		}{
			// What it is about, the course and its tags, names; then the lock, the enrollment, whether there is one, it, it
			// again, the event.
			{4 + 6, func(ctx context.Context) (err error) { made, err = w.IssueCertificate(ctx, w.sam, e.ID); return err }},
			{4 + 3, func(ctx context.Context) error { _, err := w.IssueCertificate(ctx, w.sam, e.ID); return err }},
			{2, func(ctx context.Context) error { _, err := w.Certificate(ctx, w.sam, e.ID); return err }},
			{1, func(ctx context.Context) error { _, err := w.VerifyCertificate(ctx, made.Code); return err }},
		} {
			ctx, counter := storage.CountQueries(t.Context())
			require.NoError(t, d.call(ctx))
			require.LessOrEqual(t, counter.Count(), d.most)
			require.Positive(t, counter.Count())
		}
	})
}

// TestACertificateImpliesACompletedCourse does random things to a course and its
// enrollment: there never is a certificate of what was not completed.
func TestACertificateImpliesACompletedCourse(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		random := random(t)
		w.shelf(t)
		c, e := w.taken(t, "Databases")
		var code string
		for range 60 * scale() {
			w.randomStep(t, random, c, e.ID)
			now, err := w.Enrollment(t.Context(), w.sam, e.ID)
			require.NoError(t, err)
			made, err := w.IssueCertificate(t.Context(), w.sam, e.ID)
			switch {
			case code != "":
				require.NoError(t, err)
				require.Equal(t, code, made.Code, "it is the same for ever")
				require.Equal(t, now.Status == courses.Refunded, made.Status == courses.CertificateRevoked)
			case err == nil:
				code = made.Code
				require.True(t, now.Status == courses.Completed || now.Status == courses.Active && now.Lessons > 0 && now.Done >= now.Lessons)
			default:
				require.True(t, errors.Is(err, courses.ErrNotCompleted) && now.Status == courses.Active ||
					errors.Is(err, courses.ErrNotSeated) && !now.Status.Seated(), "%v while %s", err, now.Status)
			}
			require.NoError(t, w.backend.Verify(t.Context()))
		}
		t.Logf("it has a certificate in the end: %t", code != "")
	})
}

func (w *world) randomStep(t *testing.T, random *rand.Rand, c courses.Course, id courses.EnrollmentID) {
	t.Helper()
	ctx, ids := t.Context(), w.lessons(t, c.Slug)
	switch random.IntN(8) {
	case 0:
		w.lesson(t, c.Slug, courses.NewLesson{})
	case 1:
		_ = w.DeleteLesson(ctx, w.ann, c.Slug, ids[random.IntN(len(ids))], 0) // the last one stays
	case 2:
		_, err := w.Cancel(ctx, w.sam, c.Slug, "")
		require.NoError(t, err)
	case 3:
		w.setStatus(t, id, courses.Refunded)
	case 4, 5:
		_, err := w.Enroll(ctx, w.sam, c.Slug, "")
		require.NoError(t, err)
	default:
		_, err := w.CompleteLesson(ctx, w.sam, id, ids[random.IntN(len(ids))])
		if err != nil {
			require.ErrorIs(t, err, courses.ErrNotSeated)
		}
	}
}
