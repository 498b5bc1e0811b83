package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

const selectCertificates = "SELECT k.enrollment_id, k.code, k.name, k.course_title, CASE WHEN c.status = 'published' THEN c.slug ELSE '' END, k.teacher_name, k.language, k.completed_at, k.issued_at, e.status" +
	" FROM ustat_certificates AS k JOIN ustat_enrollments AS e ON e.id = k.enrollment_id JOIN ustat_courses AS c ON c.id = e.course_id"

func scanCertificate(rows *sql.Rows, c *courses.Certificate) error {
	var enrollment courses.EnrollmentStatus
	err := rows.Scan(&c.Enrollment, &c.Code, &c.Name, &c.Course, &c.Slug, &c.Teacher, &c.Language, &c.Completed, &c.IssuedAt, &enrollment)
	c.Completed, c.IssuedAt, c.Status = c.Completed.UTC(), c.IssuedAt.UTC(), courses.CertificateValid
	if enrollment == courses.Refunded {
		c.Status = courses.CertificateRevoked
	}
	return err
}

func (r coursesReader) certificate(ctx context.Context, where string, arg any) (courses.Certificate, error) {
	found, err := readAll(ctx, r.session, selectCertificates+where, []any{arg}, scanCertificate)
	if err == nil && len(found) == 0 {
		err = courses.ErrCertificateNotFound
	}
	if err != nil {
		return courses.Certificate{}, err
	}
	return found[0], nil
}

// CertificateOf implements courses.CertificateReader.
func (r coursesReader) CertificateOf(ctx context.Context, id courses.EnrollmentID) (courses.Certificate, error) {
	return r.certificate(ctx, " WHERE k.enrollment_id = ?", id)
}

// CertificateByCode implements courses.CertificateReader.
func (r coursesReader) CertificateByCode(ctx context.Context, code string) (courses.Certificate, error) {
	if !core.ValidText(code) {
		return courses.Certificate{}, courses.ErrCertificateNotFound
	}
	return r.certificate(ctx, " WHERE k.code = ?", code)
}

type certificateRow struct {
	bun.BaseModel `bun:"table:ustat_certificates"`
	EnrollmentID  courses.EnrollmentID `bun:"enrollment_id"`
	Code          string               `bun:"code"`
	Name          string               `bun:"name"`
	CourseTitle   string               `bun:"course_title"`
	TeacherName   string               `bun:"teacher_name"`
	Language      string               `bun:"language"`
	CompletedAt   time.Time            `bun:"completed_at"`
	IssuedAt      time.Time            `bun:"issued_at"`
}

// InsertCertificate implements courses.CertificateWriter.
func (t coursesTx) InsertCertificate(ctx context.Context, c courses.Certificate) (courses.Certificate, bool, error) {
	if err := checkText(1, func(int) []string { return []string{c.Code, c.Name, c.Course, c.Teacher, c.Language} }); err != nil {
		return courses.Certificate{}, false, err
	}
	_, added, err := insert[certificateRow, string](ctx, t.Tx, "ustat_certificates", []certificateRow{{
		EnrollmentID: c.Enrollment, Code: c.Code, Name: c.Name, CourseTitle: c.Course, TeacherName: c.Teacher, Language: c.Language,
		CompletedAt: core.Time(c.Completed), IssuedAt: core.Time(c.IssuedAt),
	}}, "code")
	if err != nil {
		return courses.Certificate{}, false, err
	}
	stored, err := t.CertificateOf(ctx, c.Enrollment)
	return stored, added, err
}
