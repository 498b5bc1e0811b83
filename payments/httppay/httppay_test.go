package httppay_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/fake"
	"github.com/ustat/ustat/payments/httppay"
	"github.com/ustat/ustat/payments/paymentstest"
	"github.com/ustat/ustat/payments/signed"
)

const token = "a token of requests"

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// server is the provider's side, on loopback. Its next call may fail.
type server struct {
	bank *fake.Provider
	fail atomic.Pointer[bool]
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	after := s.fail.Swap(nil)
	switch {
	case after == nil:
		httppay.Handler(s.bank, token).ServeHTTP(w, r)
	case !*after:
		w.WriteHeader(http.StatusBadGateway)
	default:
		httppay.Handler(s.bank, token).ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // the connection is cut before the answer
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	paymentstest.Run(t, func(t *testing.T) paymentstest.Harness {
		now := &clock{now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
		keys, err := signed.NewKeys([]byte("0123456789abcdef0123456789abcdef"))
		require.NoError(t, err)
		bank, err := fake.New(fake.Config{Keys: keys, Clock: now, PayURL: "https://pay.example.org/"})
		require.NoError(t, err)
		foreign, err := fake.New(fake.Config{Clock: now})
		require.NoError(t, err)
		s := &server{bank: bank}
		listening := httptest.NewServer(s)
		t.Cleanup(listening.Close)
		p, err := httppay.New(httppay.Config{URL: listening.URL + "/", Token: token, Keys: keys, Clock: now})
		require.NoError(t, err)
		settle := func(bank *fake.Provider) func(t testing.TB, order uuid.UUID, paid bool) paymentstest.Callback {
			return func(t testing.TB, order uuid.UUID, paid bool) paymentstest.Callback {
				event, err := bank.Settle(order, paid)
				require.NoError(t, err)
				header, body, err := bank.Seal(event)
				require.NoError(t, err)
				return paymentstest.Callback{Header: header, Body: body}
			}
		}
		return paymentstest.Harness{
			Provider: p, Settle: settle(bank), Advance: now.advance, Window: signed.Window,
			Fail: func(after bool) { s.fail.Store(&after) },
			Ledger: func(_ testing.TB, order uuid.UUID) (charges, refunds int) {
				for _, e := range bank.Ledger() {
					if e.Order == order {
						return e.Charges, e.Refunds
					}
				}
				return 0, 0
			},
			Foreign: func(t testing.TB, order uuid.UUID) paymentstest.Callback {
				_, err := foreign.Create(t.Context(), courses.PaymentRequest{Order: order, Amount: core.Money{Minor: 1, Currency: "RUB"}})
				require.NoError(t, err)
				return settle(foreign)(t, order, true)
			},
		}
	})
}

// TestAnswersThatAreNone holds what an answer of a server that is not the provider's,
// or not well, is taken for.
func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	order := uuid.Must(uuid.NewV7())
	good := `{"id":"p","order":"` + order.String() + `","state":"paid","amount_minor":1,"currency":"RUB"}`
	for name, answer := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"a payment":                 {200, good, nil},
		"no JSON":                   {200, "<html>", core.ErrUnavailable},
		"another order":             {200, `{"id":"p","order":"` + uuid.NewString() + `","state":"paid","amount_minor":1,"currency":"RUB"}`, core.ErrUnavailable},
		"no state":                  {200, `{"id":"p","order":"` + order.String() + `","amount_minor":1,"currency":"RUB"}`, core.ErrUnavailable},
		"endless":                   {200, good + string(make([]byte, 70<<10)), core.ErrUnavailable},
		"a redirect":                {302, "", core.ErrUnavailable},
		"an error of the server":    {500, good, core.ErrUnavailable},
		"too many requests":         {429, "", core.ErrUnavailable},
		"a refusal":                 {403, "", core.ErrFailedPrecondition},
		"a payment that is missing": {404, "", courses.ErrPaymentNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				require.Equal(t, "Bearer "+token, r.Header.Get("Authorization"))
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(answer.status)
				_, _ = w.Write([]byte(answer.body))
			}))
			t.Cleanup(listening.Close)
			keys, err := signed.NewKeys([]byte("0123456789abcdef0123456789abcdef"))
			require.NoError(t, err)
			p, err := httppay.New(httppay.Config{URL: listening.URL, Token: token, Keys: keys})
			require.NoError(t, err)
			_, err = p.Find(t.Context(), order)
			require.ErrorIs(t, err, answer.want)
		})
	}
}

func TestTheHandlerRefusesStrangersAndNonsense(t *testing.T) {
	t.Parallel()
	bank, err := fake.New(fake.Config{})
	require.NoError(t, err)
	h := httppay.Handler(bank, token)
	order := "/payments/" + uuid.NewString()
	for _, try := range []struct {
		method, path, token, body string
		want                      int
	}{
		{"GET", order, "", "", 401},
		{"GET", order, "Bearer another", "", 401},
		{"GET", order, "Bearer " + token, "", 404},
		{"GET", "/payments/x", "Bearer " + token, "", 404},
		{"PUT", order, "Bearer " + token, "no JSON", 422},
		{"PUT", order, "Bearer " + token, `{"amount_minor":0,"currency":"RUB"}`, 422},
		{"POST", order + "/refund", "Bearer " + token, "", 404},
	} {
		r := httptest.NewRequest(try.method, try.path, http.NoBody)
		if try.body != "" {
			r = httptest.NewRequest(try.method, try.path, strings.NewReader(try.body))
		}
		r.Header.Set("Authorization", try.token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, try.want, w.Code, "%v", try)
	}
	require.Empty(t, bank.Ledger())
}

func TestABadConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	keys, err := signed.NewKeys([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	for _, c := range []httppay.Config{
		{URL: "", Token: token, Keys: keys},
		{URL: "ftp://x", Token: token, Keys: keys},
		{URL: "https://x?a=b", Token: token, Keys: keys},
		{URL: "https://x", Keys: keys},
		{URL: "https://x", Token: token},
	} {
		_, err := httppay.New(c)
		require.ErrorIs(t, err, core.ErrInvalid)
	}
}

func TestARefundIsDoneOnlyWhenTheAnswerSaysSo(t *testing.T) {
	t.Parallel()
	order := uuid.Must(uuid.NewV7())
	for state, want := range map[string]error{"pending": core.ErrUnavailable, "paid": core.ErrUnavailable, "failed": core.ErrUnavailable, "refunded": nil} {
		listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"id":"p","order":"` + order.String() + `","state":"` + state + `","amount_minor":1,"currency":"RUB"}`))
		}))
		t.Cleanup(listening.Close)
		keys, err := signed.NewKeys([]byte("0123456789abcdef0123456789abcdef"))
		require.NoError(t, err)
		p, err := httppay.New(httppay.Config{URL: listening.URL, Token: token, Keys: keys})
		require.NoError(t, err)
		require.ErrorIs(t, p.Refund(t.Context(), courses.Payment{ID: "p", Order: order}), want, state)
	}
}
