package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/reviews"
)

// track stores events of a course, each on the day after the one before, from 2026-02-01 on.
func (w *world) track(s subject, events ...analytics.Event) {
	w.t.Helper()
	ids, err := w.p.Courses.CourseIDs(w.t.Context(), []string{s.slug})
	require.NoError(w.t, err)
	for i := range events {
		events[i].Course, events[i].ID = ids[s.slug], uuid.New()
		events[i].OccurredAt = time.Date(2026, 2, 1+i, 22, 30, 0, 0, time.UTC)
	}
	result, err := w.p.Analytics.Track(w.t.Context(), analytics.Durable, events...)
	require.NoError(w.t, err)
	require.Equal(w.t, len(events), result.Accepted)
}

func (w *world) get(who, path string) map[string]any {
	w.t.Helper()
	answer := w.ask(who, http.MethodGet, path, nil)
	require.Equal(w.t, http.StatusOK, answer.Code, "%s: %s", path, answer.Body)
	return decode(w.t, answer.Body)
}

// results returns those of a list.
func (w *world) results(who, path string) []map[string]any {
	w.t.Helper()
	var out []map[string]any
	for _, r := range w.get(who, path)["results"].([]any) {
		out = append(out, r.(map[string]any))
	}
	return out
}

func TestTheAnalyticsOfACourse(t *testing.T) {
	t.Parallel()
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			s, student := w.course(courses.Published), w.actor("student").UserID
			lesson, err := strconv.ParseInt(s.lessons[0], 10, 64)
			require.NoError(t, err)
			usd := func(minor int64) core.Money { return core.Money{Minor: minor, Currency: "USD"} }
			w.track(s,
				analytics.Event{Type: analytics.View, Session: "visit"},
				analytics.Event{Type: analytics.View, User: student},
				analytics.Event{Type: analytics.Purchase, User: student, Amount: usd(1000)},
				analytics.Event{Type: analytics.Enroll, User: student},
				analytics.Event{Type: analytics.LessonStart, User: student, Lesson: courses.LessonID(lesson), Properties: json.RawMessage(`{"from":1.50}`)},
				analytics.Event{Type: analytics.LessonComplete, User: student, Lesson: courses.LessonID(lesson)},
				analytics.Event{Type: analytics.CourseComplete, User: student},
				analytics.Event{Type: analytics.Refund, User: student, Amount: usd(400)},
			)
			_, err = w.p.Reviews.Create(t.Context(), w.actor("student"), s.slug, reviews.New{Rating: 4})
			require.NoError(t, err)
			path := "/analytics/courses/" + s.slug + "/"

			got := w.get("owner", path)
			require.NotNil(t, got["updated_at"])
			delete(got, "updated_at")
			require.Equal(t, object{
				"course": s.slug, "views": json.Number("2"), "unique_viewers": json.Number("2"), "enrollments": json.Number("1"), "starts": json.Number("1"),
				"completions": json.Number("1"), "completion_rate": json.Number("1"), "average_rating": json.Number("4"),
				"revenue": []any{object{"amount_minor": json.Number("600"), "currency": "USD"}},
			}, got)
			for _, sort := range []string{"views", "completion", "revenue&currency=USD"} {
				for _, who := range []string{"owner", "producer", "admin"} {
					page := w.get(who, "/analytics/courses/?sort="+sort)
					require.Empty(t, page["missing_shards"])
					require.Equal(t, s.slug, page["results"].([]any)[0].(object)["course"], "%s by %s", sort, who)
				}
			}
			require.Empty(t, w.results("teacher", "/analytics/courses/"))

			// 22:30 in UTC is the next day in Moscow.
			days := w.results("owner", path+"timeseries/?from=2026-02-01T21:00:00Z&to=2026-02-04T21:00:00Z&tz=Europe/Moscow")
			require.Len(t, days, 3)
			require.Equal(t, "2026-02-01T21:00:00Z", days[0]["from"])
			require.Equal(t, []any{json.Number("1"), json.Number("1"), json.Number("0")}, []any{days[0]["views"], days[1]["views"], days[2]["views"]})
			require.Equal(t, json.Number("1"), days[2]["purchases"])
			months := w.results("owner", path+"timeseries/?from=2026-02-01T00:00:00Z&to=2026-03-01T00:00:00Z&interval=month")
			require.Len(t, months, 1)
			require.Equal(t, []any{object{"amount_minor": json.Number("600"), "currency": "USD"}}, months[0]["revenue"])

			require.Equal(t, []map[string]any{
				{"step": "view", "people": json.Number("2")},
				{"step": "enroll", "people": json.Number("1")},
				{"step": "start", "people": json.Number("1")},
				{"step": "complete", "people": json.Number("1")},
			}, w.results("owner", path+"funnel/"))
			require.Equal(t, []map[string]any{{"lesson": s.lessons[0], "started": json.Number("1"), "completed": json.Number("1")}}, w.results("owner", path+"dropout/"))
			weeks := w.results("owner", path+"retention/?from=2026-02-02T00:00:00Z&to=2026-02-09T00:00:00Z")
			require.Len(t, weeks, 2)
			require.Equal(t, json.Number("1"), weeks[0]["size"])
			require.Equal(t, "2026-02-02T00:00:00Z", weeks[0]["week"])

			log := w.results("admin", path+"events/")
			require.Len(t, log, 8)
			require.Equal(t, "refund", log[0]["type"])
			require.Equal(t, object{"amount_minor": json.Number("400"), "currency": "USD"}, log[0]["amount"])
			require.Equal(t, "student", log[0]["user"])
			require.Equal(t, object{"from": json.Number("1.50")}, log[3]["properties"])
			require.Equal(t, s.lessons[0], log[3]["lesson"])
			require.Nil(t, log[7]["user"])
			require.Equal(t, "visit", log[7]["session"])

			done := w.get("student", "/analytics/users/student/")
			require.Equal(t, object{
				"user": "student", "enrollments": json.Number("1"), "completions": json.Number("1"), "lessons_completed": json.Number("1"),
				"active_days": json.Number("7"), "last_active": "2026-02-08T22:30:00Z", "missing_shards": []any{},
			}, done)
			active := w.results("student", "/analytics/users/student/activity/?from=2026-02-05T00:00:00Z&to=2026-02-07T00:00:00Z")
			require.Len(t, active, 2)
			require.Equal(t, "2026-02-05", active[0]["day"])
			require.Equal(t, json.Number("1"), active[1]["lessons_completed"])

			revenue := w.get("producer", "/analytics/teachers/owner/revenue/")
			money := []any{object{"gross_minor": json.Number("1000"), "refunded_minor": json.Number("400"), "amount_minor": json.Number("600"), "currency": "USD"}}
			require.Equal(t, money, revenue["total"])
			require.Equal(t, []any{object{"course": s.slug, "revenue": money}}, revenue["courses"])

			svg := w.ask("owner", http.MethodGet, path+"chart.svg?from=2026-02-01T00:00:00Z&to=2026-02-09T00:00:00Z", nil)
			require.Equal(t, http.StatusOK, svg.Code)
			require.Equal(t, "image/svg+xml", svg.Header().Get("Content-Type"))
			require.Contains(t, svg.Header().Get("Content-Security-Policy"), "sandbox")
			require.Contains(t, svg.Body.String(), "<svg")
			again := w.ask("owner", http.MethodGet, path+"chart.svg?from=2026-02-01T00:00:00Z&to=2026-02-09T00:00:00Z", nil, "If-None-Match", svg.Header().Get("ETag"))
			require.Equal(t, http.StatusNotModified, again.Code)
		})
	}
}

func TestQueriesOfAnalyticsThatAreWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	path := "/analytics/courses/" + w.course(courses.Published).slug + "/"
	for query, field := range map[string]string{
		"timeseries/?interval=year":                                                       "interval",
		"timeseries/?tz=Mars/Base":                                                        "tz",
		"timeseries/?tz=../etc/passwd":                                                    "tz",
		"timeseries/?tz=Local":                                                            "tz",
		"timeseries/?from=yesterday":                                                      "from",
		"timeseries/?from=1999-12-31T00:00:00Z":                                           "from",
		"timeseries/?from=2026-02-02T00:00:00Z&to=2026-02-01T00:00:00Z":                   "to",
		"timeseries/?from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z":                   "to",
		"timeseries/?from=2026-01-01T00:00:00Z&to=2026-02-15T00:00:00Z&interval=hour":     "to",
		"retention/?from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z":                    "to",
		"../../users/student/activity/?from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z": "to",
		"../?sort=revenue":                                                                "currency",
		"../?sort=views&currency=USD":                                                     "currency",
		"../?sort=revenue&currency=USDOL":                                                 "currency",
	} {
		at := path + query
		for strings.Contains(at, "/../") {
			before, after, _ := strings.Cut(at, "/../")
			at = before[:strings.LastIndex(before, "/")+1] + after
		}
		p := refused(t, w.ask("admin", http.MethodGet, at, nil), http.StatusUnprocessableEntity, "invalid")
		require.Equal(t, field, p.Errors[0].Field, at)
	}
}

func TestTheCollectorTakesWhatClientsSee(t *testing.T) {
	t.Parallel()
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			s, draft := w.course(courses.Published), w.course(courses.Draft)
			view := object{"id": uuid.NewString(), "type": "view", "course": s.slug, "session": "v", "occurred_at": time.Now().UTC().Format(time.RFC3339)}
			body := object{"events": []object{
				view, view,
				{"type": "lesson_start", "course": s.slug, "lesson": s.lessons[0]},
				{"type": "search", "properties": object{"q": "go", "found": []any{1, nil}}},
				{"type": "purchase", "course": s.slug},
				{"type": "view", "course": "no-such-course"},
				{"type": "view", "course": draft.slug},
				{"type": "view", "course": s.slug, "id": "17"},
				{"type": "view", "course": s.slug, "id": uuid.NewString()}, // no time in it, and none beside it
				{"type": "dance", "course": s.slug},
				{"type": "view", "course": s.slug, "properties": []any{}},
				{"type": "view", "course": s.slug, "session": strings.Repeat("s", 101)},
				{"type": "lesson_start", "course": s.slug, "lesson": draft.lessons[0]},
				{"type": "lesson_start", "course": s.slug, "lesson": "4040404"},
			}}
			answer := w.ask("student", http.MethodPost, "/analytics/events/", body)
			require.Equal(t, http.StatusAccepted, answer.Code, answer.Body)
			got := decode(t, answer.Body)
			require.Equal(t, json.Number("3"), got["accepted"])
			require.Equal(t, json.Number("1"), got["duplicates"])
			var why []string
			for _, r := range got["rejected"].([]any) {
				why = append(why, fmt.Sprint(r.(object)["index"], " ", r.(object)["code"]))
			}
			require.Equal(t, []string{
				"4 analytics.server_only", "5 courses.not_found", "6 courses.not_found", "7 invalid", "8 invalid", "9 invalid", "10 invalid", "11 invalid",
				"12 courses.lesson_not_found", "13 courses.lesson_not_found",
			}, why)

			// The same events again, as a browser sends them that leaves the page, of nobody.
			text := encode(t, object{"events": []object{view, {"type": "view", "course": s.slug, "session": "other"}}})
			answer = w.ask("anonymous", http.MethodPost, "/analytics/events", text, "Content-Type", "text/plain;charset=UTF-8")
			require.Equal(t, http.StatusAccepted, answer.Code, answer.Body)
			got = decode(t, answer.Body)
			require.Equal(t, []any{json.Number("1"), json.Number("1")}, []any{got["accepted"], got["duplicates"]})

			course := w.get("owner", "/analytics/courses/"+s.slug+"/")
			require.Equal(t, []any{json.Number("2"), json.Number("2"), json.Number("1")}, []any{course["views"], course["unique_viewers"], course["starts"]})
			// What a client says of others counts for nothing: the events are the student's.
			require.Equal(t, "student", w.results("admin", "/analytics/courses/"+s.slug+"/events/")[1]["user"])
		})
	}
}

func TestTheCollectorIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	many := make([]object, analytics.MaxTrack+1)
	for i := range many {
		many[i] = object{"type": "search"}
	}
	p := refused(t, w.ask("student", http.MethodPost, "/analytics/events/", object{"events": many}), http.StatusUnprocessableEntity, "invalid")
	require.Equal(t, "events", p.Errors[0].Field)
	refused(t, w.ask("student", http.MethodPost, "/analytics/events/", object{"events": []object{}}), http.StatusUnprocessableEntity, "invalid")
	refused(t, w.ask("student", http.MethodPost, "/analytics/events/", `{"events":[{"type":"view","user":"admin"}]}`), http.StatusUnprocessableEntity, "invalid")
	refused(t, w.ask("student", http.MethodPost, "/analytics/events/", `{"events":[{"type":"view"}]}`, "Content-Type", "text/html"), http.StatusUnsupportedMediaType, "unsupported_media_type")
	refused(t, w.ask("student", http.MethodPost, "/analytics/events/", strings.Repeat(" ", httpapi.DefaultMaxText+1)), http.StatusRequestEntityTooLarge, "body_too_large")
	// A beacon is for the collector alone.
	refused(t, w.ask("owner", http.MethodPost, "/analytics/reports/", `{"kind":"courses","format":"csv"}`, "Content-Type", "text/plain"), http.StatusUnsupportedMediaType, "unsupported_media_type")

	// Calls come back to a user while they are made.
	limited, calls := w.ask("owner", http.MethodPost, "/analytics/events/", object{"events": []object{{"type": "search"}}}), 1
	for ; limited.Code == http.StatusAccepted && calls < 10*analytics.CallsPerUser; calls++ {
		limited = w.ask("owner", http.MethodPost, "/analytics/events/", object{"events": []object{{"type": "search"}}})
	}
	require.GreaterOrEqual(t, calls, analytics.CallsPerUser)
	refused(t, limited, http.StatusTooManyRequests, "analytics.too_many_calls")
	require.NotEmpty(t, limited.Header().Get("Retry-After"))
	require.Equal(t, http.StatusAccepted, w.ask("admin", http.MethodPost, "/analytics/events/", object{"events": []object{{"type": "search"}}}).Code, "others go on")
}

func TestAPlatformWithoutAShardSaysSo(t *testing.T) {
	t.Parallel()
	b, _ := engines()["sqlite"](t)
	b.Analytics = nil
	bare, err := ustat.New(b, nil)
	require.NoError(t, err)
	require.NoError(t, bare.Start(t.Context()))
	w := &world{t: t, p: bare, b: b, tokens: map[string]string{}}
	w.user("admin", core.Admin)
	w.h, err = httpapi.New(bare, nil)
	require.NoError(t, err)
	login, err := bare.Accounts.Login(t.Context(), accounts.Credentials{Login: "admin", Password: password}, accounts.Client{})
	require.NoError(t, err)
	w.tokens["admin"] = string(login.Access)
	refused(t, w.ask("admin", http.MethodGet, "/analytics/courses/", nil), http.StatusServiceUnavailable, "analytics.not_set_up")
	refused(t, w.ask("admin", http.MethodGet, "/analytics/users/admin/", nil), http.StatusServiceUnavailable, "analytics.not_set_up")
	refused(t, w.ask("admin", http.MethodPost, "/analytics/events/", object{"events": []object{{"type": "search"}}}), http.StatusServiceUnavailable, "analytics.not_set_up")
	refused(t, w.ask("admin", http.MethodGet, "/analytics/courses/x/chart.svg", nil), http.StatusServiceUnavailable, "analytics.no_charts")
}
