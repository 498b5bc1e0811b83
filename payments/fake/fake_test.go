package fake_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/fake"
	"github.com/ustat/ustat/payments/paymentstest"
	"github.com/ustat/ustat/payments/signed"
)

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

func settle(p *fake.Provider) func(t testing.TB, order uuid.UUID, paid bool) paymentstest.Callback {
	return func(t testing.TB, order uuid.UUID, paid bool) paymentstest.Callback {
		t.Helper()
		event, err := p.Settle(order, paid)
		require.NoError(t, err)
		header, body, err := p.Seal(event)
		require.NoError(t, err)
		return paymentstest.Callback{Header: header, Body: body}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	paymentstest.Run(t, func(t *testing.T) paymentstest.Harness {
		now := &clock{now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
		p, err := fake.New(fake.Config{Clock: now})
		require.NoError(t, err)
		other, err := fake.New(fake.Config{Clock: now})
		require.NoError(t, err)
		return paymentstest.Harness{
			Provider: p, Settle: settle(p), Advance: now.advance, Window: signed.Window,
			Ledger: func(_ testing.TB, order uuid.UUID) (charges, refunds int) {
				for _, e := range p.Ledger() {
					if e.Order == order {
						return e.Charges, e.Refunds
					}
				}
				return 0, 0
			},
			Foreign: func(t testing.TB, order uuid.UUID) paymentstest.Callback {
				_, err := other.Create(t.Context(), courses.PaymentRequest{Order: order, Amount: core.Money{Minor: 1, Currency: "RUB"}})
				require.NoError(t, err)
				return settle(other)(t, order, true)
			},
		}
	})
}

func TestThePageTakesOnePaymentAndSendsItsCallback(t *testing.T) {
	t.Parallel()
	p, err := fake.New(fake.Config{PayURL: "http://127.0.0.1/pay/"})
	require.NoError(t, err)
	order := uuid.Must(uuid.NewV7())
	payment, err := p.Create(t.Context(), courses.PaymentRequest{Order: order, Amount: core.Money{Minor: 5000, Currency: "RUB"}, Description: "<b>Go</b>"})
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1/pay/"+order.String(), payment.URL)
	var events []courses.PaymentEvent
	page := p.Page(func(ctx context.Context, header map[string][]string, body []byte) error {
		event, err := p.Callback(ctx, header, body)
		events = append(events, event)
		return err
	})
	ask := func(method, path string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		return w
	}
	require.Equal(t, http.StatusNotFound, ask("GET", "/pay/x", nil).Code)
	require.Equal(t, http.StatusNotFound, ask("GET", "/pay/"+uuid.NewString(), nil).Code)
	require.Equal(t, http.StatusNotFound, ask("POST", "/pay/"+uuid.NewString(), nil).Code)
	shown := ask("GET", "/pay/"+order.String()+"/", nil).Body.String()
	require.Contains(t, shown, "50.00 RUB")
	require.Contains(t, shown, "&lt;b&gt;Go&lt;/b&gt;")
	require.Contains(t, ask("POST", "/pay/"+order.String(), url.Values{"do": {"pay"}}).Body.String(), "The payment is paid")
	ask("POST", "/pay/"+order.String(), url.Values{"do": {"decline"}})
	require.Len(t, events, 2)
	require.Equal(t, courses.PaymentPaid, events[1].Payment.State, "what is paid stays paid")
	require.Equal(t, []fake.Entry{{Order: order, Amount: core.Money{Minor: 5000, Currency: "RUB"}, Charges: 1}}, p.Ledger())
}
