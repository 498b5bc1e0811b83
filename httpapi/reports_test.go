package httpapi_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/httpapi"
)

func TestAReportIsAskedForWatchedAndFetched(t *testing.T) {
	t.Parallel()
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			s := w.course(courses.Published)
			answer := w.ask("owner", http.MethodPost, "/analytics/reports/", object{"kind": "courses", "format": "xlsx"})
			require.Equal(t, http.StatusAccepted, answer.Code, answer.Body)
			asked := decode(t, answer.Body)
			path := "/analytics/reports/" + asked["id"].(string) + "/"
			require.Equal(t, httpapi.Prefix+path, answer.Header().Get("Location"))
			require.Equal(t, "queued", asked["state"])
			require.Nil(t, asked["file"])
			require.Nil(t, asked["status"])

			require.NoError(t, w.p.Reports.Make(t.Context(), uuid.MustParse(asked["id"].(string))))
			done := decode(t, w.ask("owner", http.MethodGet, path, nil).Body)
			require.Equal(t, "done", done["state"])
			require.Equal(t, json.Number("1"), done["rows"])
			require.NotNil(t, done["finished_at"])
			file := strings.TrimPrefix(at(t, done, "file")["url"].(string), httpapi.Prefix)
			got := w.ask("anonymous", http.MethodGet, file, nil)
			require.Equal(t, http.StatusOK, got.Code)
			require.Equal(t, blob.XLSX.MediaType(), got.Header().Get("Content-Type"))
			require.Regexp(t, `^attachment; filename=courses-\d{4}-\d\d-\d\d\.xlsx$`, got.Header().Get("Content-Disposition"))
			require.Equal(t, "nosniff", got.Header().Get("X-Content-Type-Options"))
			require.Contains(t, got.Header().Get("Content-Security-Policy"), "sandbox")
			require.Contains(t, got.Header().Get("Cache-Control"), "private")
			book, err := excelize.OpenReader(bytes.NewReader(got.Body.Bytes()))
			require.NoError(t, err)
			slug, err := book.GetCellValue("Sheet1", "A2")
			require.NoError(t, err)
			require.Equal(t, s.slug, slug)
		})
	}
}

func TestALinkServesItsFileAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	w.course(courses.Published)
	r := w.doneReport()
	path := "/files/" + r.Token + "/"
	whole := w.ask("anonymous", http.MethodGet, path, nil)
	rows, err := csv.NewReader(bytes.NewReader(whole.Body.Bytes())).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, "text/csv; charset=utf-8", whole.Header().Get("Content-Type"))

	part := w.ask("anonymous", http.MethodGet, path, nil, "Range", "bytes=5-9")
	require.Equal(t, http.StatusPartialContent, part.Code)
	require.Equal(t, "title", part.Body.String())
	head := w.ask("anonymous", http.MethodHead, path, nil)
	require.Equal(t, http.StatusOK, head.Code)
	require.Zero(t, head.Body.Len())

	var links blob.Links
	require.NoError(t, links.SetKey([]byte(linkKey)))
	sign := func(key blob.Key, expires time.Time) string {
		token, err := links.Sign(blob.Link{Key: key, Name: "a.csv", Expires: expires})
		require.NoError(t, err)
		return token
	}
	key := r.Files[len(r.Files)-1]
	for _, c := range []struct {
		token, code string
		status      int
	}{
		{sign(key, time.Now().Add(-time.Second)), "blob.link_expired", http.StatusForbidden},
		{sign(blob.NewKey(blob.CSV), time.Now().Add(time.Minute)), "blob.not_found", http.StatusNotFound},
		{"A" + r.Token[1:], "blob.bad_link", http.StatusForbidden},
		{string(key), "blob.bad_link", http.StatusForbidden}, // ids, keys and other tokens are no links
		{r.ID.String(), "blob.bad_link", http.StatusForbidden},
		{w.tokens["admin"], "blob.bad_link", http.StatusForbidden},
		{"..%2F..%2Fetc", "blob.bad_link", http.StatusForbidden},
		{strings.Repeat("A", 4000), "blob.bad_link", http.StatusForbidden},
	} {
		refused(t, w.ask("admin", http.MethodGet, "/files/"+c.token+"/", nil), c.status, c.code)
	}
	for _, id := range []string{"1", strings.ToUpper(r.ID.String()), "{" + r.ID.String() + "}", uuid.NewString()} {
		refused(t, w.ask("admin", http.MethodGet, "/analytics/reports/"+id+"/", nil), http.StatusNotFound, "reports.not_found")
	}
}

func TestWhatIsMissingForReportsIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	refused(t, w.ask("admin", http.MethodPost, "/analytics/reports/", object{"kind": "courses", "format": "pdf"}), http.StatusUnprocessableEntity, "invalid")
	// And a platform without files and without a queue.
	b, _ := engines()["sqlite"](t)
	bare, err := ustat.New(b, nil)
	require.NoError(t, err)
	require.NoError(t, bare.Start(t.Context()))
	w.p = bare
	w.user("admin", "admin")
	w.h, err = httpapi.New(bare, nil)
	require.NoError(t, err)
	login := w.ask("anonymous", http.MethodPost, "/auth/login/", object{"username": "admin", "password": password})
	w.tokens["admin"] = decode(t, login.Body)["access_token"].(string)
	refused(t, w.ask("admin", http.MethodPost, "/analytics/reports/", object{"kind": "courses", "format": "csv"}), http.StatusServiceUnavailable, "reports.not_set_up")
	answer := w.ask("admin", http.MethodGet, "/files/x/", nil)
	refused(t, answer, http.StatusServiceUnavailable, "unavailable")
}
