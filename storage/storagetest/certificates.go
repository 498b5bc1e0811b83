package storagetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// completed returns completed enrollments of so many users in one course.
func completed(t testing.TB, b *storage.Backend, n int) (list []courses.Enrollment) {
	t.Helper()
	one, _, _ := book(t, b)
	for i := range n {
		list = append(list, courses.Enrollment{
			Course: one.ID, User: core.UserID(1000 + i), Status: courses.Completed, Source: courses.SourceFree, PricePaid: core.Money{Currency: "USD"},
			EnrolledAt: day, StartedAt: day, CompletedAt: day.Add(time.Hour),
		})
	}
	write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
		list, err = tx.InsertEnrollments(ctx, list)
		return err
	})
	return list
}

func (s suite) certificates() {
	s.run("InsertCertificate adds a certificate, or returns the one that its enrollment has, and false", func(t *testing.T, b *storage.Backend) {
		e := completed(t, b, 2)
		want := courses.Certificate{
			Enrollment: e[0].ID, Code: "0123456789ABCDEFGHJK", Name: awkward[0], Course: awkward[1], Slug: "one", Teacher: awkward[2], Language: "kk",
			Completed: day, IssuedAt: day.Add(time.Minute), Status: courses.CertificateValid,
		}
		given, other := want, want
		given.Completed, given.IssuedAt, given.Slug, given.Status = zoned(day), zoned(day.Add(time.Minute)), "", ""
		other.Code, other.Name = "ZZZZZZZZZZZZZZZZZZZZ", "Another"
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			got, added, err := tx.InsertCertificate(ctx, given)
			require.True(t, added)
			utc(t, day, got.Completed)
			utc(t, day.Add(time.Minute), got.IssuedAt)
			require.Equal(t, want, got)
			return err
		})
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			got, added, err := tx.InsertCertificate(ctx, other)
			require.False(t, added)
			require.Equal(t, want, got)
			return err
		})
		err := b.Courses.Update(timeout(t), func(ctx context.Context, tx courses.Tx) error {
			bad := other
			bad.Enrollment, bad.Name = e[1].ID, "a\x00"
			_, _, err := tx.InsertCertificate(ctx, bad)
			return err
		})
		require.ErrorIs(t, err, core.ErrInvalid)
		archived := bySlug(t, b, "one")
		for _, status := range []courses.Status{courses.Archived, courses.Published} {
			archived.Status = status
			require.NoError(t, updateCourses(t, b, archived))
			got, err := b.Courses.CertificateOf(timeout(t), e[0].ID)
			require.NoError(t, err)
			require.Equal(t, status == courses.Published, got.Slug == "one", "a course that is not published is not named")
		}
		for _, read := range []func(ctx context.Context) (courses.Certificate, error){
			func(ctx context.Context) (courses.Certificate, error) { return b.Courses.CertificateOf(ctx, e[0].ID) },
			func(ctx context.Context) (courses.Certificate, error) {
				return b.Courses.CertificateByCode(ctx, want.Code)
			},
		} {
			got, err := read(timeout(t))
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		for _, code := range []string{other.Code, "", "a\x00"} {
			_, err = b.Courses.CertificateByCode(timeout(t), code)
			require.ErrorIs(t, err, courses.ErrCertificateNotFound)
		}
		_, err = b.Courses.CertificateOf(timeout(t), e[1].ID)
		require.ErrorIs(t, err, courses.ErrCertificateNotFound)
	})
	s.run("a certificate is revoked while its enrollment is refunded, and valid else", func(t *testing.T, b *storage.Backend) {
		e := completed(t, b, 1)[0]
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			_, _, err := tx.InsertCertificate(ctx, courses.Certificate{Enrollment: e.ID, Code: "0123456789ABCDEFGHJK", Name: "N", Course: "C", Completed: day, IssuedAt: day})
			return err
		})
		for _, status := range []courses.EnrollmentStatus{courses.Refunded, courses.Completed, courses.Cancelled} {
			if e.Status, e.EndedAt = status, day; status.Seated() {
				e.EndedAt = time.Time{}
			}
			write(t, b, func(ctx context.Context, tx courses.Tx) error {
				return tx.UpdateEnrollments(ctx, []courses.Enrollment{e})
			})
			got, err := b.Courses.CertificateOf(timeout(t), e.ID)
			require.NoError(t, err)
			require.Equal(t, status == courses.Refunded, got.Status == courses.CertificateRevoked, status)
		}
	})
	s.run("of certificates of one enrollment at once one is added and all get it", func(t *testing.T, b *storage.Backend) {
		e := completed(t, b, 1)[0]
		var stored [8]courses.Certificate
		var added [8]bool
		errs := make(chan error, len(stored))
		for i := range stored {
			go func() {
				errs <- b.Courses.Update(timeout(t), func(ctx context.Context, tx courses.Tx) (err error) {
					if _, err := tx.EnrollmentForUpdate(ctx, e.ID); err != nil {
						return err
					}
					stored[i], added[i], err = tx.InsertCertificate(ctx, courses.Certificate{
						Enrollment: e.ID, Code: "0123456789ABCDEFGHJ" + string("0123456789"[i]), Name: "N", Course: "C", Completed: day, IssuedAt: day,
					})
					return err
				})
			}()
		}
		var failed error
		for range stored {
			failed = errors.Join(failed, <-errs)
		}
		require.NoError(t, failed)
		times := 0
		for i := range stored {
			require.Equal(t, stored[0], stored[i])
			if added[i] {
				times++
			}
		}
		require.Equal(t, 1, times)
	})
}
