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
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
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

// written returns the rows of a report in CSV that somebody has asked for.
func (w *world) written(who string, order object) [][]string {
	w.t.Helper()
	answer := w.ask(who, http.MethodPost, "/analytics/reports/", order)
	require.Equal(w.t, http.StatusAccepted, answer.Code, answer.Body)
	path := "/analytics/reports/" + decode(w.t, answer.Body)["id"].(string) + "/"
	require.NoError(w.t, w.p.Reports.Make(w.t.Context(), uuid.MustParse(strings.Split(path, "/")[3])))
	done := w.get(who, path)
	require.Equal(w.t, "done", done["state"], done["error"])
	file := w.ask("anonymous", http.MethodGet, strings.TrimPrefix(at(w.t, done, "file")["url"].(string), httpapi.Prefix), nil)
	require.Equal(w.t, http.StatusOK, file.Code)
	rows, err := csv.NewReader(file.Body).ReadAll()
	require.NoError(w.t, err)
	return rows
}

func TestReportsOnACourseAndOnWhatATeacherHasEarned(t *testing.T) {
	t.Parallel()
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			s, student := w.course(courses.Published), w.actor("student").UserID
			title := "=HYPERLINK(\"http://x\")"
			_, err := w.p.Courses.Edit(t.Context(), accounts.System, s.slug, courses.CourseEdit{Title: &title})
			require.NoError(t, err)
			money := func(minor int64, currency string) core.Money { return core.Money{Minor: minor, Currency: currency} }
			w.track(s, // at 22:30 from 2026-02-01 on
				analytics.Event{Type: analytics.View, Session: "visit"},
				analytics.Event{Type: analytics.Purchase, User: student, Amount: money(1000, "USD")},
				analytics.Event{Type: analytics.Refund, User: student, Amount: money(400, "USD")},
				analytics.Event{Type: analytics.Purchase, User: student, Amount: money(50, "EUR")},
				analytics.Event{Type: analytics.Enroll, User: student},
			)
			slug := s.slug
			for _, who := range []string{"owner", "producer", "admin"} {
				require.Equal(t, [][]string{
					{"teacher", "course", "title", "status", "enrollments", "completions", "gross", "refunded", "net", "currency"},
					{"owner", slug, "'" + title, "published", "1", "0", "0.50", "0.00", "0.50", "EUR"},
					{"owner", slug, "'" + title, "published", "1", "0", "10.00", "4.00", "6.00", "USD"},
				}, w.written(who, object{"kind": "revenue", "format": "csv", "teacher": "owner"}), who)
				rows := w.written(who, object{
					"kind": "course", "format": "csv", "course": slug, "tz": "Europe/Moscow", "from": "2026-02-01T00:00:00+03:00", "to": "2026-02-06T00:00:00+03:00",
				})
				require.Len(t, rows, 6)
				require.Equal(t, []string{"from", "to", "views", "enrollments"}, rows[0][:4])
				require.Equal(t, []string{"revenue_EUR", "revenue_USD"}, rows[0][12:])
				require.Equal(t, []string{"2026-02-01T21:00:00Z", "2026-02-02T21:00:00Z", "1", "0"}, rows[2][:4])
				require.Equal(t, []string{"0.00", "-4.00"}, rows[4][12:])
			}
			answer := w.ask("owner", http.MethodPost, "/analytics/reports/", object{"kind": "revenue", "format": "xlsx", "teacher": "owner"})
			require.Equal(t, http.StatusAccepted, answer.Code)
			require.NoError(t, w.p.Reports.Make(t.Context(), uuid.MustParse(decode(t, answer.Body)["id"].(string))))

			course, revenue := object{"kind": "course", "format": "csv", "course": slug}, object{"kind": "revenue", "format": "csv", "teacher": "owner"}
			for _, who := range []string{"student", "teacher", "stranger"} {
				refused(t, w.ask(who, http.MethodPost, "/analytics/reports/", course), http.StatusForbidden, "forbidden")
				refused(t, w.ask(who, http.MethodPost, "/analytics/reports/", revenue), http.StatusForbidden, "forbidden")
			}
			// Who may not any more when it is written gets none.
			answer = w.ask("producer", http.MethodPost, "/analytics/reports/", revenue)
			id := decode(t, answer.Body)["id"].(string)
			require.NoError(t, w.p.Accounts.UnlinkTeacher(t.Context(), accounts.System, "producer", "owner"))
			require.NoError(t, w.p.Reports.Make(t.Context(), uuid.MustParse(id)))
			failed := w.get("producer", "/analytics/reports/"+id+"/")
			require.Equal(t, []any{"failed", "forbidden"}, []any{failed["state"], failed["error"]})
		})
	}
}

func TestOrdersOfReportsThatAreWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	slug := w.course(courses.Published).slug
	for field, order := range map[string]object{
		"kind":     {"kind": "everything", "format": "csv"},
		"course":   {"kind": "course", "format": "csv"},
		"teacher":  {"kind": "revenue", "format": "csv"},
		"status":   {"kind": "course", "format": "csv", "course": slug, "status": "draft"},
		"interval": {"kind": "courses", "format": "csv", "interval": "day"},
		"tz":       {"kind": "course", "format": "csv", "course": slug, "tz": "Mars/Base"},
		"to":       {"kind": "course", "format": "csv", "course": slug, "interval": "hour", "from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"},
		"from":     {"kind": "revenue", "format": "csv", "teacher": "owner", "from": "2026-01-01T00:00:00Z"},
	} {
		p := refused(t, w.ask("owner", http.MethodPost, "/analytics/reports/", order), http.StatusUnprocessableEntity, "invalid")
		require.Equal(t, field, p.Errors[0].Field)
	}
	refused(t, w.ask("owner", http.MethodPost, "/analytics/reports/", object{"kind": "course", "format": "csv", "course": "no-such"}), http.StatusNotFound, "courses.not_found")
	refused(t, w.ask("admin", http.MethodPost, "/analytics/reports/", object{"kind": "revenue", "format": "csv", "teacher": "nobody"}), http.StatusNotFound, "accounts.user_not_found")
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
