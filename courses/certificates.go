package courses

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/ustat/ustat/core"
)

// CertificateStatus says whether a certificate counts.
type CertificateStatus string

// The statuses of a certificate. One is revoked while its enrollment is refunded; what
// a learner has achieved before they gave the course up stays valid.
const (
	CertificateValid   CertificateStatus = "valid"
	CertificateRevoked CertificateStatus = "revoked"
)

// Certificate says that a user has completed a course. There is one an enrollment.
// What it says is of when it was issued, whatever is renamed later.
type Certificate struct {
	Enrollment EnrollmentID
	Code       string // 20 characters of Crockford's base 32, by which anybody verifies it
	Name       string // of the learner
	Course     string // the title
	Slug       string // of the course now, empty while it is not published; filled on reading
	Teacher    string // name of the teacher
	Language   string // of the course
	Completed  time.Time
	IssuedAt   time.Time
	Status     CertificateStatus // filled on reading
}

// CertificateRenderer makes the document of a certificate. It is safe for concurrent
// use. See package courses/certificate.
type CertificateRenderer interface {
	// Render writes the certificate as a PDF, or fails and writes nothing.
	Render(w io.Writer, c Certificate) error
}

// CertificateReader reads certificates.
type CertificateReader interface {
	// CertificateOf returns the certificate of an enrollment, or fails with
	// ErrCertificateNotFound.
	CertificateOf(ctx context.Context, id EnrollmentID) (Certificate, error)
	// CertificateByCode does the same by a code.
	CertificateByCode(ctx context.Context, code string) (Certificate, error)
}

// CertificateWriter writes certificates.
type CertificateWriter interface {
	// InsertCertificate adds a certificate, or returns the one that its enrollment has,
	// and false.
	InsertCertificate(ctx context.Context, c Certificate) (stored Certificate, added bool, err error)
}

// IssueCertificate returns the certificate of an enrollment, and issues it the first
// time: once, however often it is asked for. Learners ask for their own and admins for
// anybody's; for others it is core.ErrForbidden where they may see the enrollment, and
// else ErrEnrollmentNotFound. An enrollment whose course is not completed is
// ErrNotCompleted, and one that has no seat ErrNotSeated, unless it has a certificate
// from before. A course whose last lessons were deleted is completed by asking.
func (s *Service) IssueCertificate(ctx context.Context, by core.Actor, id EnrollmentID) (Certificate, error) {
	ctx = core.WithOperation(ctx, "courses.IssueCertificate")
	e, err := s.enrollment(ctx, by, id)
	if err != nil {
		return Certificate{}, err
	}
	if e.User != by.UserID && !by.IsAdmin() {
		return Certificate{}, core.ErrForbidden
	}
	fresh, teacher, err := s.certificateFor(ctx, e)
	if err != nil {
		return Certificate{}, err
	}
	var issued Certificate
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		issued, err = s.issue(ctx, tx, s.trail(by), fresh, teacher)
		return err
	})
	return issued, err
}

// certificateFor returns what a certificate of an enrollment would say now, and who
// teaches its course. Three statements.
func (s *Service) certificateFor(ctx context.Context, e Enrollment) (Certificate, core.UserID, error) {
	c, err := s.store.CourseBySlug(ctx, e.Slug)
	if err != nil {
		return Certificate{}, 0, err
	}
	users, err := s.users.UsersByID(ctx, []core.UserID{e.User, c.Teacher.ID})
	if err != nil {
		return Certificate{}, 0, err
	}
	fresh := Certificate{Enrollment: e.ID, Code: newCertificateCode(), Course: c.Title, Language: c.Language}
	for _, u := range users {
		if u.ID == e.User {
			fresh.Name = u.Name()
		}
		if u.ID == c.Teacher.ID {
			fresh.Teacher = u.Name()
		}
	}
	if fresh.Name == "" {
		return Certificate{}, 0, ErrEnrollmentNotFound // its learner is not there any more
	}
	return fresh, c.Teacher.ID, nil
}

// issue adds a certificate under the enrollment's lock, unless there is one.
func (s *Service) issue(ctx context.Context, tx Tx, t trail, fresh Certificate, teacher core.UserID) (Certificate, error) {
	e, err := tx.EnrollmentForUpdate(ctx, fresh.Enrollment)
	if err != nil {
		return Certificate{}, err
	}
	there, err := tx.CertificateOf(ctx, e.ID)
	if !errors.Is(err, ErrCertificateNotFound) {
		return there, err
	}
	if e.Status == Active && e.Lessons > 0 && e.Done >= e.Lessons { // since lessons were deleted
		if err := s.graduate(ctx, tx, t, teacher, &e); err != nil {
			return Certificate{}, err
		}
	}
	switch {
	case !e.Status.Seated():
		return Certificate{}, ErrNotSeated
	case e.Status != Completed:
		return Certificate{}, ErrNotCompleted
	}
	fresh.Completed, fresh.IssuedAt = e.CompletedAt, t.at
	issued, added, err := tx.InsertCertificate(ctx, fresh)
	if err != nil || !added {
		return issued, err
	}
	if t.by.UserID != e.User {
		if err := t.auditLearning(ctx, tx, EventCertificateIssued, teacher, &e); err != nil {
			return Certificate{}, err
		}
	}
	return issued, tx.Emit(ctx, t.learned(EventCertificateIssued, teacher, &e, 0))
}

// Certificate returns the certificate of an enrollment to whom Enrollment is seen by,
// or fails with ErrCertificateNotFound where none was issued. Two statements, and up to
// two more for another's.
func (s *Service) Certificate(ctx context.Context, by core.Actor, id EnrollmentID) (Certificate, error) {
	ctx = core.WithOperation(ctx, "courses.Certificate")
	if _, err := s.enrollment(ctx, by, id); err != nil {
		return Certificate{}, err
	}
	return s.store.CertificateOf(ctx, id)
}

// VerifyCertificate returns the certificate of a code to anybody: that is what a code
// is for. It is read as ParseCertificateCode does; one that was never given is
// ErrCertificateNotFound. It needs no limit of attempts: who asks a billion times a
// second for a hundred years, where a billion certificates were issued, guesses one of
// the 2^100 codes with a chance of one in four hundred. One statement.
func (s *Service) VerifyCertificate(ctx context.Context, code string) (Certificate, error) {
	ctx = core.WithOperation(ctx, "courses.VerifyCertificate")
	code, err := ParseCertificateCode(code)
	if err != nil {
		return Certificate{}, err
	}
	return s.store.CertificateByCode(ctx, code)
}

// PrintCertificate returns the certificate of a code with its document, a PDF, to
// whoever has the code. It fails as VerifyCertificate does, with ErrCertificateRevoked,
// with ErrCertificatesNotSetUp, and as Config.Certificates does.
func (s *Service) PrintCertificate(ctx context.Context, code string) (Certificate, []byte, error) {
	c, err := s.VerifyCertificate(ctx, code)
	switch {
	case err != nil:
		return Certificate{}, nil, err
	case c.Status != CertificateValid:
		return Certificate{}, nil, ErrCertificateRevoked
	case s.certificates == nil:
		return Certificate{}, nil, ErrCertificatesNotSetUp
	}
	var document bytes.Buffer
	if err := s.certificates.Render(&document, c); err != nil {
		return Certificate{}, nil, err
	}
	return c, document.Bytes(), nil
}

// crockford is Crockford's base 32: no I, L, O and U.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

const (
	codeBits = 100
	codeSize = codeBits / 5
)

// newCertificateCode returns 100 random bits.
func newCertificateCode() string {
	var raw [(codeBits + 7) / 8]byte
	rand.Read(raw[:])
	return crockford.EncodeToString(raw[:])[:codeSize]
}

// FormatCertificateCode returns a code as people read it, in groups of five:
// "0123A-4567B-89CDE-FGHJK".
func FormatCertificateCode(code string) string {
	var groups []string
	for ; len(code) > 5; code = code[5:] {
		groups = append(groups, code[:5])
	}
	return strings.Join(append(groups, code), "-")
}

// ParseCertificateCode reads a code as people write it: without regard to case, hyphens
// and blanks, with O for 0 and I or L for 1. What is none is ErrCertificateNotFound.
func ParseCertificateCode(text string) (string, error) {
	code := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(text))
	valid := func(r rune) bool { return strings.ContainsRune("0123456789ABCDEFGHJKMNPQRSTVWXYZ", r) }
	if len(code) != codeSize || strings.ContainsFunc(code, func(r rune) bool { return !valid(r) }) {
		return "", ErrCertificateNotFound
	}
	return code, nil
}
