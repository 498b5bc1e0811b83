package httppay

import (
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/signed"
)

// Handler serves the protocol over a provider to who has the token. The paths begin
// with /payments/.
func Handler(provider courses.Payments, token core.Secret) http.Handler {
	mux := http.NewServeMux()
	serve := func(pattern string, call func(r *http.Request, id uuid.UUID) (courses.Payment, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			given := []byte(r.Header.Get("Authorization"))
			if subtle.ConstantTimeCompare(given, []byte("Bearer "+string(token))) != 1 {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			id, err := uuid.Parse(r.PathValue("order"))
			if err != nil {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			payment, err := call(r, id)
			if err != nil {
				w.WriteHeader(statusOf(err))
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(signed.PaymentOf(payment)) // an error is a client that has gone
		})
	}
	serve("PUT /payments/{order}", func(r *http.Request, id uuid.UUID) (courses.Payment, error) {
		var in order
		if err := json.NewDecoder(io.LimitReader(r.Body, maxAnswer)).Decode(&in); err != nil {
			return courses.Payment{}, core.ErrInvalid.Because(err)
		}
		if in.AmountMinor <= 0 || len(in.Currency) != 3 {
			return courses.Payment{}, core.ErrInvalid.Withf("an amount above 0 is expected")
		}
		return provider.Create(r.Context(), courses.PaymentRequest{
			Order: id, Amount: core.Money{Minor: in.AmountMinor, Currency: in.Currency}, Description: in.Description, Email: in.Email, ReturnURL: in.ReturnURL, ExpiresAt: in.ExpiresAt,
		})
	})
	serve("GET /payments/{order}", func(r *http.Request, id uuid.UUID) (courses.Payment, error) {
		return provider.Find(r.Context(), id)
	})
	serve("POST /payments/{order}/refund", func(r *http.Request, id uuid.UUID) (courses.Payment, error) {
		payment, err := provider.Find(r.Context(), id)
		if err == nil {
			err = provider.Refund(r.Context(), payment)
		}
		if err != nil {
			return courses.Payment{}, err
		}
		return provider.Find(r.Context(), id)
	})
	return mux
}

func statusOf(err error) int {
	switch core.KindOf(err) {
	case core.KindNotFound:
		return http.StatusNotFound
	case core.KindInvalid:
		return http.StatusUnprocessableEntity
	case core.KindFailedPrecondition:
		return http.StatusConflict
	default:
		return http.StatusServiceUnavailable
	}
}
