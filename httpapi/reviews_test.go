package httpapi_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
)

// The acceptance values: a course with 5, 5, 4 and 1, one with 5, and one with none.
func TestReviewsOverHTTP(t *testing.T) {
	t.Parallel()
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			a, b, none := w.bare(), w.bare(), w.bare()
			ids := map[string]string{}
			post := func(who, course string, rating int, headers ...string) map[string]any {
				t.Helper()
				answer := w.ask(who, http.MethodPost, "/courses/"+course+"/reviews/", object{"rating": rating, "text": "Says " + who}, headers...)
				require.Equal(t, http.StatusCreated, answer.Code, answer.Body)
				made := decode(t, answer.Body)
				require.Equal(t, "/api/v1/reviews/"+made["id"].(string)+"/", answer.Header().Get("Location"))
				ids[who+course] = made["id"].(string)
				return made
			}
			w.user("fourth", core.Student)
			made := post("student", a, 5)
			require.Equal(t, object{
				"id": made["id"], "course": a, "user": "student", "name": "student", "rating": made["rating"], "text": "Says student", "status": "published",
				"helpful_count": made["helpful_count"], "helpful": false, "comment_count": made["comment_count"], "reply": nil,
				"created_at": made["created_at"], "updated_at": made["updated_at"],
			}, made)
			post("teacher", a, 5)
			post("stranger", a, 4)
			post("admin", a, 1)
			post("student", b, 5)

			summary := func(course string) string {
				answer := w.ask("anonymous", http.MethodGet, "/courses/"+course+"/reviews/summary/", nil)
				require.Equal(t, http.StatusOK, answer.Code)
				return answer.Body.String()
			}
			require.JSONEq(t, `{"review_count": 4, "average_rating": 3.75, "histogram": {"1": 1, "2": 0, "3": 0, "4": 1, "5": 2}}`, summary(a))
			require.JSONEq(t, `{"review_count": 0, "average_rating": null, "histogram": {"1": 0, "2": 0, "3": 0, "4": 0, "5": 0}}`, summary(none))
			top := decode(t, w.ask("anonymous", http.MethodGet, "/courses/top/", nil).Body)["results"].([]any)
			require.Len(t, top, 2, "what is not rated is not on top")
			require.Equal(t, b, top[0].(object)["slug"])

			answer := w.ask("admin", http.MethodDelete, "/reviews/"+ids["admin"+a]+"/", nil)
			require.Equal(t, http.StatusNoContent, answer.Code)
			require.JSONEq(t, fmt.Sprintf(`{"review_count": 3, "average_rating": %v, "histogram": {"1": 0, "2": 0, "3": 0, "4": 1, "5": 2}}`, 14.0/3), summary(a))
			course := decode(t, w.ask("anonymous", http.MethodGet, "/courses/"+a+"/", nil).Body)
			require.Equal(t, "4.666666666666667", fmt.Sprint(course["average_rating"]), "at once")

			// The same key is one review; a second one is a conflict.
			first := post("admin", b, 3, "Idempotency-Key", "k")
			require.Equal(t, first["id"], post("admin", b, 3, "Idempotency-Key", "k")["id"])
			refused(t, w.ask("admin", http.MethodPost, "/courses/"+b+"/reviews/", object{"rating": 3}), http.StatusConflict, "reviews.already_reviewed")
			problem := refused(t, w.ask("owner", http.MethodPost, "/courses/"+b+"/reviews/", object{"rating": 3}), http.StatusForbidden, "reviews.not_eligible")
			require.Equal(t, "own_course", problem.Errors[0].Code)
			refused(t, w.ask("producer", http.MethodPost, "/courses/"+b+"/reviews/", object{"rating": 6}), http.StatusUnprocessableEntity, "invalid")
			eligibility := w.ask("admin", http.MethodGet, "/courses/"+b+"/reviews/eligibility/", nil)
			require.JSONEq(t, `{"allowed": false, "reasons": ["already_reviewed"], "review": "`+first["id"].(string)+`", "progress_percent": 100, "min_progress_percent": 0}`, eligibility.Body.String())

			// Orders, votes, and a version that is no longer.
			require.Equal(t, http.StatusOK, w.ask("student", http.MethodPut, "/reviews/"+ids["stranger"+a]+"/vote/", nil).Code)
			refused(t, w.ask("owner", http.MethodPut, "/reviews/"+ids["stranger"+a]+"/vote/", nil), http.StatusForbidden, "reviews.own_course")
			for sort, want := range map[string]string{"helpful": "stranger", "rating": "teacher", "recent": "stranger"} {
				page := decode(t, w.ask("student", http.MethodGet, "/courses/"+a+"/reviews/?limit=1&sort="+sort, nil).Body)
				one := page["results"].([]any)[0].(object)
				require.Equal(t, want, one["user"], sort)
				require.Equal(t, want == "stranger", one["helpful"])
				require.NotNil(t, page["next"])
			}
			path := "/reviews/" + ids["student"+a] + "/"
			tag := w.ask("student", http.MethodGet, path, nil).Header().Get("ETag")
			require.Equal(t, http.StatusNotModified, w.ask("student", http.MethodGet, path, nil, "If-None-Match", tag).Code)
			require.Equal(t, http.StatusOK, w.ask("student", http.MethodPatch, path, object{"rating": 4}, "If-Match", tag).Code)
			refused(t, w.ask("student", http.MethodPatch, path, object{"rating": 3}, "If-Match", tag), http.StatusPreconditionFailed, "core.version_mismatch")

			// What is hidden is hidden, but for its author and admins.
			hidden := w.ask("admin", http.MethodPost, "/moderation"+path, object{"action": "hide", "reason": "Rude"})
			require.Equal(t, http.StatusOK, hidden.Code, hidden.Body)
			require.Equal(t, "Rude", decode(t, hidden.Body)["reason"])
			refused(t, w.ask("teacher", http.MethodGet, path, nil), http.StatusNotFound, "reviews.not_found")
			require.Equal(t, "hidden", decode(t, w.ask("student", http.MethodGet, path, nil).Body)["status"])
			refused(t, w.ask("admin", http.MethodPost, "/moderation"+path, object{"action": "hide", "reason": "Rude"}), http.StatusConflict, "reviews.invalid_transition")
			history := decode(t, w.ask("admin", http.MethodGet, "/moderation"+path+"history/", nil).Body)["results"].([]any)
			require.Equal(t, []string{"hide", "edit"}, []string{history[0].(object)["action"].(string), history[1].(object)["action"].(string)})
			for _, id := range []string{"0", "x", "99999", "-1"} {
				refused(t, w.ask("admin", http.MethodGet, "/reviews/"+id+"/", nil), http.StatusNotFound, "reviews.not_found")
			}
		})
	}
}
