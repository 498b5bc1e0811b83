package courses

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"io"
	"strings"
	"time"
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
	Slug       string // of the course now, filled on reading
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
