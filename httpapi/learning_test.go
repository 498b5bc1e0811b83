package httpapi_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/courses"
)

func TestShapesOfLearning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	s := w.course(courses.Published)
	w.priced(s, 0)
	e := answered(t, w.ask("student", "POST", "/courses/"+s.slug+"/enroll/", nil), 200)
	assert.Equal(t, "0", fmt.Sprint(e["price_paid"].(map[string]any)["amount_minor"]))
	assert.Equal(t, "USD", e["price_paid"].(map[string]any)["currency"])
	for key, want := range map[string]any{
		"course": s.slug, "user": "student", "status": "active", "source": "free", "resume": nil, "started_at": nil, "completed_at": nil, "ended_at": nil,
	} {
		assert.Equal(t, want, e[key], key)
	}
	for key, want := range map[string]string{"progress_percent": "0", "lessons": "2", "completed_lessons": "0"} {
		assert.Equal(t, want, fmt.Sprint(e[key]), key)
	}
	path := "/enrollments/" + e["id"].(string) + "/"
	e = answered(t, w.ask("student", "PUT", path+"resume/", object{"lesson": s.lessons[1], "seconds": 7}), 200)
	assert.Equal(t, "7", fmt.Sprint(e["resume"].(map[string]any)["seconds"]))
	e = answered(t, w.ask("student", "POST", path+"lessons/"+s.lessons[0]+"/complete/", nil), 200)
	assert.Equal(t, "50", fmt.Sprint(e["progress_percent"]))
	p := answered(t, w.ask("student", "GET", path+"progress/", nil), 200)
	assert.Equal(t, s.lessons[1], p["next_lesson"])
	assert.Equal(t, s.lessons[0], p["results"].([]any)[0].(map[string]any)["lesson"])
	assert.Nil(t, p["next"])
	list := answered(t, w.ask("student", "GET", "/enrollments/", nil), 200)
	assert.Equal(t, e, list["results"].([]any)[0])

	for _, bad := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"POST", path + "lessons/404/complete/", nil, 404},
		{"POST", path + "lessons/x/complete/", nil, 404},
		{"GET", "/enrollments/x/", nil, 404},
		{"GET", "/enrollments/?status=odd", nil, 422},
		{"GET", "/enrollments/?user=teacher", nil, 403},
		{"GET", "/enrollments/?course=nothing", nil, 422},
		{"PUT", path + "resume/", object{"lesson": s.lessons[0], "seconds": -1}, 422},
		{"PUT", path + "resume/", object{"lesson": "x"}, 422},
		{"PUT", "/bookmarks/nothing/", nil, 404},
	} {
		assert.Equal(t, bad.status, w.ask("student", bad.method, bad.path, bad.body).Code, "%v", bad)
	}
	w.priced(s, 100)
	problem := answered(t, w.ask("teacher", "POST", "/courses/"+s.slug+"/enroll/", nil), 409)
	assert.Equal(t, "courses.payment_required", problem["code"])
}

// A client sets when a lesson opens by the names under which it reads that.
func TestOpeningTimesAreWrittenAsTheyAreRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	s := w.course(courses.Published)
	lesson := "/courses/" + s.slug + "/lessons/" + s.lessons[0] + "/"
	l := answered(t, w.ask("owner", "PATCH", lesson, object{"opens_at": "2126-01-02T03:04:05+03:00", "opens_after_days": 3}), 200)
	assert.Equal(t, "2126-01-02T00:04:05Z", l["opens_at"])
	assert.Equal(t, "3", fmt.Sprint(l["opens_after_days"]))
	l = answered(t, w.ask("student", "GET", lesson, nil), 200)
	assert.Equal(t, "2126-01-02T00:04:05Z", l["opens_at"])
	assert.Equal(t, []any{"enrollment_required", "payment_required", "not_yet_open"}, l["reasons"])
	l = answered(t, w.ask("owner", "PATCH", lesson, object{"opens_at": "0001-01-01T00:00:00Z"}), 200)
	assert.Nil(t, l["opens_at"])
	for _, bad := range []any{"tomorrow", 5, object{}, "", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+01:00", "0000-06-01T00:00:00Z"} {
		problem := answered(t, w.ask("owner", "PATCH", lesson, object{"opens_at": bad}), 422)
		assert.Equal(t, "opens_at", problem["errors"].([]any)[0].(map[string]any)["field"])
	}
	l = answered(t, w.ask("owner", "PATCH", lesson, object{"opens_at": "9999-12-31T23:59:59.999999999Z"}), 200)
	assert.Equal(t, "9999-12-31T23:59:59.999999Z", l["opens_at"])
	answered(t, w.ask("admin", "POST", "/coupons/", object{"code": "FAR", "percent": 5, "ends_at": "9999-12-31T23:59:59-23:59"}), 422)
	other := w.course(courses.Published)
	c := answered(t, w.ask("owner", "PATCH", "/courses/"+s.slug+"/", object{"capacity": 5, "prerequisites": []string{other.slug}}), 200)
	assert.Equal(t, "5", fmt.Sprint(c["capacity"]))
	assert.Equal(t, []any{other.slug}, c["prerequisites"])
}

// TestDoubleSubmits sends each write of learning a hundred times at once: one effect,
// and the same answer to all.
func TestDoubleSubmits(t *testing.T) {
	t.Parallel()
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			s := w.course(courses.Published)
			w.priced(s, 0)
			l := w.learning()
			events := func(typ string) (n int) {
				require.NoError(t, w.db.QueryRow("SELECT count(*) FROM ustat_outbox WHERE type = $1", typ).Scan(&n))
				return n
			}
			for _, write := range []struct {
				method, path, event string
				headers             []string
			}{
				{"POST", "/courses/" + s.slug + "/enroll/", courses.EventEnrolled, nil},
				{"POST", "/courses/" + s.slug + "/enroll/", courses.EventEnrolled, []string{"Idempotency-Key", "one"}},
				{"POST", l.at("/lessons/"+l.course.lessons[0]+"/complete/", nil).path, courses.EventLessonCompleted, nil},
				{"POST", l.at("/lessons/"+l.course.lessons[1]+"/complete/", nil).path, courses.EventCompleted, nil},
				{"PUT", "/bookmarks/" + s.slug + "/", courses.EventBookmarked, nil},
				{"DELETE", "/bookmarks/" + s.slug + "/", courses.EventUnbookmarked, nil},
				{"DELETE", "/courses/" + s.slug + "/enroll/", courses.EventCancelled, nil},
			} {
				before := events(write.event)
				const callers = 100
				answers := make([]string, callers)
				var all sync.WaitGroup
				for i := range callers {
					all.Go(func() {
						answer := w.ask("student", write.method, write.path, nil, write.headers...)
						answers[i] = fmt.Sprint(answer.Code, answer.Body)
					})
				}
				all.Wait()
				for _, answer := range answers {
					require.Equal(t, answers[0], answer, write.path)
				}
				require.Contains(t, []string{"200", "204"}, answers[0][:3])
				effects := 1
				if write.headers != nil { // the student is enrolled by then
					effects = 0
				}
				require.Equal(t, before+effects, events(write.event), "%s %s", write.method, write.path)
				t.Logf("%d callers of %s %s: %d effects", callers, write.method, write.path, effects)
			}
			require.NoError(t, w.b.Verify(t.Context()))
		})
	}
}

// A key answers with what the first call gave, whatever has changed since.
func TestAKeyOfEnrollment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	s := w.course(courses.Published)
	w.priced(s, 0)
	enroll := func() string {
		answer := w.ask("student", "POST", "/courses/"+s.slug+"/enroll/", nil, "Idempotency-Key", "k")
		require.Equal(t, http.StatusOK, answer.Code, answer.Body)
		return answer.Body.String()
	}
	first := enroll()
	_, err := w.p.Courses.Cancel(t.Context(), accounts.System, s.slug, "student")
	require.NoError(t, err)
	require.Equal(t, first, enroll())
	list := answered(t, w.ask("student", "GET", "/enrollments/", nil), 200)
	require.Equal(t, "cancelled", list["results"].([]any)[0].(map[string]any)["status"])
}
