package httpapi_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/httpapi"
)

func TestACertificateIsIssuedVerifiedAndPrinted(t *testing.T) {
	t.Parallel()
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			path := "/enrollments/" + w.completed() + "/certificate/"
			refused(t, w.ask("student", http.MethodGet, path, nil), http.StatusNotFound, "courses.certificate_not_found")
			answer := w.ask("student", http.MethodPost, path, nil)
			require.Equal(t, http.StatusCreated, answer.Code, answer.Body)
			text := answer.Body.String()
			made := decode(t, answer.Body)
			code := made["code"].(string)
			require.Regexp(t, `^([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}$`, code)
			require.Equal(t, "valid", made["status"])
			require.Equal(t, "student", made["name"])
			require.Equal(t, text, w.ask("student", http.MethodPost, path, nil).Body.String(), "the same answer again")
			require.Equal(t, text, w.ask("owner", http.MethodGet, path, nil).Body.String())
			verify := strings.TrimPrefix(answer.Header().Get("Location"), httpapi.Prefix)
			require.Equal(t, text, w.ask("anonymous", http.MethodGet, verify, nil).Body.String())
			require.Equal(t, text, w.ask("anonymous", http.MethodGet, "/certificates/"+strings.ToLower(code)+"/verify/", nil).Body.String())

			pdf := "/certificates/" + code + "/pdf/"
			document := w.ask("anonymous", http.MethodGet, pdf, nil)
			require.Equal(t, http.StatusOK, document.Code, document.Body)
			require.True(t, bytes.HasPrefix(document.Body.Bytes(), []byte("%PDF-")))
			for name, want := range map[string]string{
				"Content-Type": "application/pdf", "Content-Disposition": "attachment; filename=certificate-" + strings.ReplaceAll(code, "-", "") + ".pdf",
				"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
			} {
				require.Equal(t, want, document.Header().Get(name))
			}
			require.Equal(t, http.StatusNotModified, w.ask("anonymous", http.MethodGet, pdf, nil, "If-None-Match", document.Header().Get("ETag")).Code)

			for _, wrong := range []string{"x", strings.Repeat("0", 20), "..%2F.."} {
				refused(t, w.ask("admin", http.MethodGet, "/certificates/"+wrong+"/verify/", nil), http.StatusNotFound, "courses.certificate_not_found")
				refused(t, w.ask("admin", http.MethodGet, "/certificates/"+wrong+"/pdf/", nil), http.StatusNotFound, "courses.certificate_not_found")
			}
			for _, id := range []string{"0", "x", "999999"} {
				refused(t, w.ask("student", http.MethodPost, "/enrollments/"+id+"/certificate/", nil), http.StatusNotFound, "courses.enrollment_not_found")
			}
			_, err := w.db.ExecContext(t.Context(), "UPDATE ustat_enrollments SET status = 'refunded', ended_at = completed_at")
			require.NoError(t, err)
			require.Equal(t, "revoked", decode(t, w.ask("anonymous", http.MethodGet, verify, nil).Body)["status"])
			refused(t, w.ask("anonymous", http.MethodGet, pdf, nil), http.StatusConflict, "courses.certificate_revoked")
		})
	}
}

func TestAPlatformWithoutDocumentsOfCertificatesSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	code := w.certificate()
	bare, err := ustat.New(w.b, nil)
	require.NoError(t, err)
	require.NoError(t, bare.Start(t.Context()))
	w.h, err = httpapi.New(bare, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.ask("anonymous", http.MethodGet, "/certificates/"+code+"/verify/", nil).Code)
	refused(t, w.ask("anonymous", http.MethodGet, "/certificates/"+code+"/pdf/", nil), http.StatusServiceUnavailable, "courses.certificates_not_set_up")
}
