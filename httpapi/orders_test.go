package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/signed"
)

// TestACourseIsBought goes the whole way of a purchase over HTTP, and back.
func TestACourseIsBought(t *testing.T) {
	t.Parallel()
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			s := w.course(courses.Published)
			answered(t, w.ask("admin", "POST", "/coupons/", object{"code": "HALF", "percent": 50, "per_user": 1}), 201)
			refused(t, w.ask("student", "POST", "/orders/", object{"course": s.slug, "coupon": "NONE"}), 409, "courses.coupon_refused")
			refused(t, w.ask("student", "POST", "/orders/", object{"course": "nothing"}), 404, "courses.not_found")
			made := w.ask("student", "POST", "/orders/", object{"course": s.slug, "coupon": "half"}, "Idempotency-Key", "one")
			order := answered(t, made, 201)
			path := "/orders/" + order["id"].(string) + "/"
			assert.True(t, strings.HasSuffix(made.Header().Get("Location"), path))
			assert.Equal(t, object{
				"id": order["id"], "course": s.slug, "user": "student", "status": "pending", "price": object{"amount_minor": json.Number("100"), "currency": "USD"},
				"coupon": "HALF", "total": object{"amount_minor": json.Number("50"), "currency": "USD"}, "provider": "fake",
				"pay_url": "https://pay.example.org/" + order["id"].(string), "reason": nil, "created_at": order["created_at"], "paid_at": nil, "ended_at": nil,
				"expires_at": order["expires_at"],
			}, order)
			assert.Equal(t, order, answered(t, w.ask("student", "POST", "/orders/", object{"course": s.slug, "coupon": "half"}, "Idempotency-Key", "one"), 201))
			refused(t, w.ask("student", "POST", "/orders/", object{"course": s.slug}, "Idempotency-Key", "one"), 422, "core.idempotency_key_reused")

			event, err := w.bank.Settle(uuid.MustParse(order["id"].(string)), true)
			require.NoError(t, err)
			header, body, err := w.bank.Seal(event)
			require.NoError(t, err)
			post := func(provider, signature, body string) int {
				return w.ask("", "POST", "/payments/webhooks/"+provider+"/", body, signed.Header, signature, "Content-Type", "application/x-whatever", "Idempotency-Key", "theirs").Code
			}
			signature := header[signed.Header][0]
			assert.Equal(t, http.StatusNotFound, post("none", signature, string(body)))
			assert.Equal(t, http.StatusUnauthorized, post("fake", signature, string(body)+" "))
			assert.Equal(t, http.StatusUnauthorized, post("fake", "t=1,v1=00", string(body)))
			assert.Equal(t, http.StatusRequestEntityTooLarge, post("fake", signature, strings.Repeat("x", 64<<10+1)))
			assert.Equal(t, "pending", answered(t, w.ask("student", "GET", path, nil), 200)["status"])
			for range 3 {
				assert.Equal(t, http.StatusOK, post("fake", signature, string(body)))
			}
			paid := answered(t, w.ask("student", "GET", path, nil), 200)
			assert.Equal(t, []any{"paid", nil}, []any{paid["status"], paid["pay_url"]})
			assert.Equal(t, json.Number("1"), answered(t, w.ask("", "GET", "/courses/"+s.slug+"/", nil), 200)["student_count"])
			refused(t, w.ask("student", "POST", "/orders/", object{"course": s.slug}), 409, "courses.enrolled")
			refused(t, w.ask("admin", "DELETE", "/coupons/HALF/", nil), 409, "courses.coupon_in_use")
			assert.Equal(t, json.Number("1"), answered(t, w.ask("admin", "GET", "/coupons/half/", nil), 200)["used"])

			refunded := answered(t, w.ask("admin", "POST", path+"refund/", nil), 200)
			assert.Equal(t, []any{"refunded", "refunded_by_admin"}, []any{refunded["status"], refunded["reason"]})
			assert.Equal(t, json.Number("0"), answered(t, w.ask("", "GET", "/courses/"+s.slug+"/", nil), 200)["student_count"])
			assert.Len(t, answered(t, w.ask("admin", "GET", "/orders/?user=student&course="+s.slug, nil), 200)["results"], 1)
			refused(t, w.ask("student", "GET", "/orders/x/", nil), 404, "courses.order_not_found")

			changed := answered(t, w.ask("admin", "PATCH", "/coupons/half/", object{
				"amount": object{"amount_minor": 5, "currency": "USD"}, "course": s.slug, "active": false, "ends_at": "2099-01-01T00:00:00Z",
			}), 200)
			assert.Equal(t, object{
				"code": "HALF", "percent": json.Number("0"), "amount": object{"amount_minor": json.Number("5"), "currency": "USD"}, "course": s.slug, "limit": json.Number("0"),
				"per_user": json.Number("1"), "used": json.Number("0"), "starts_at": nil, "ends_at": "2099-01-01T00:00:00Z", "active": false, "created_at": changed["created_at"],
			}, changed)
		})
	}
}
