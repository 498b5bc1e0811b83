package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/courses"
)

const certificatePath = Prefix + "/certificates/{code}/"

type certificate struct {
	Code        string    `json:"code" doc:"By which anybody verifies it"`
	Status      string    `json:"status" enum:"valid,revoked" doc:"It is revoked while its enrollment is refunded"`
	Name        string    `json:"name" doc:"Of the learner, when it was issued"`
	Course      *string   `json:"course" doc:"The slug of the course now; null while it is not published"`
	Title       string    `json:"title" doc:"Of the course, when it was issued"`
	Teacher     string    `json:"teacher" doc:"The name of the teacher, when it was issued"`
	Language    string    `json:"language" doc:"Of the course; empty when unknown"`
	CompletedAt time.Time `json:"completed_at"`
	IssuedAt    time.Time `json:"issued_at"`
}

func certificateOf(c courses.Certificate) certificate {
	return certificate{
		courses.FormatCertificateCode(c.Code), string(c.Status), c.Name, textOrNull(c.Slug), c.Course, c.Teacher, c.Language, c.Completed.UTC(), c.IssuedAt.UTC(),
	}
}

func (a *api) mountCertificates() {
	const tag = "certificates"
	ofEnrollment := Prefix + "/enrollments/{id}/certificate/"
	id := func(c *call) (courses.EnrollmentID, error) {
		id, err := c.id("id", courses.ErrEnrollmentNotFound)
		return courses.EnrollmentID(id), err
	}
	send(a, route{
		method: http.MethodPost, path: ofEnrollment, id: "certificates-issue", tag: tag, summary: "Have the certificate of an enrollment issued",
		description: "For its learner, once the course is completed, and admins. Asked for again, it is the same one.", status: http.StatusCreated, signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (certificate, error) {
		enrollment, err := id(c)
		if err != nil {
			return certificate{}, err
		}
		made, err := a.platform.Courses.IssueCertificate(ctx, c.actor, enrollment)
		c.location = Prefix + "/certificates/" + made.Code + "/verify/"
		return certificateOf(made), err
	})
	get(a, route{
		path: ofEnrollment, id: "certificates-get", tag: tag, summary: "The certificate of an enrollment",
		description: "For its learner, those who may edit the course, and admins.", signedIn: true,
	}, func(ctx context.Context, c *call) (certificate, error) {
		enrollment, err := id(c)
		if err != nil {
			return certificate{}, err
		}
		found, err := a.platform.Courses.Certificate(ctx, c.actor, enrollment)
		return certificateOf(found), err
	})
	get(a, route{
		path: certificatePath + "verify/", id: "certificates-verify", tag: tag, summary: "What a certificate says, and whether it is valid",
		description: "For whoever has the code, which is read without regard to case and hyphens, with O for 0 and I or L for 1.", nobody: true,
	}, func(ctx context.Context, c *call) (certificate, error) {
		found, err := a.platform.Courses.VerifyCertificate(ctx, c.path("code"))
		return certificateOf(found), err
	})
	a.mountCertificateFile()
}

// printed is the document of a certificate.
type printed struct {
	certificate courses.Certificate
	pdf         []byte
}

// mountCertificateFile serves certificates as PDF.
func (a *api) mountCertificateFile() {
	rt := route{
		method: http.MethodGet, path: certificatePath + "pdf/", id: "certificates-pdf", tag: "certificates", summary: "A certificate as PDF",
		description: "For whoever has the code. One that was revoked has none: 409.", nobody: true, status: http.StatusOK, failures: []int{http.StatusConflict},
	}
	op := a.operation(rt)
	op.Responses["200"].Content = map[string]*huma.MediaType{blob.PDF.MediaType(): {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	a.routes = append(a.routes, rt)
	a.huma.OpenAPI().AddOperation(op)
	a.huma.Adapter().Handle(op, func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		got, err := perform(a, rt, &call{request: r}, true, func(any) error { return nil }, func(ctx context.Context, c *call, _ none) (printed, error) {
			found, pdf, err := a.platform.Courses.PrintCertificate(ctx, c.path("code"))
			return printed{found, pdf}, err
		})
		if err != nil {
			a.fail(w, r, err)
			return
		}
		asDownload(w.Header(), blob.PDF.MediaType(), "certificate-"+got.certificate.Code+".pdf")
		w.Header().Set("ETag", entityTag(0, got.pdf))
		http.ServeContent(w, r, "", got.certificate.IssuedAt, bytes.NewReader(got.pdf))
	})
}
