// Package paymentstest proves that a provider of payments keeps what courses.Payments
// promises. A provider of your own runs it against its sandbox, or a server of a test:
//
//	func TestConformance(t *testing.T) {
//		paymentstest.Run(t, func(t *testing.T) paymentstest.Harness { … })
//	}
package paymentstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Harness is a provider and what stands behind it. A field that is nil skips the cases
// that need it.
type Harness struct {
	Provider courses.Payments
	// Settle is what the buyer of an order does: the payment is paid, or fails. It
	// returns a callback that the provider sends of it, another one with each call.
	Settle func(t testing.TB, order uuid.UUID, paid bool) Callback
	// Ledger returns how often the provider has charged for an order, and given back.
	Ledger func(t testing.TB, order uuid.UUID) (charges, refunds int)
	// Advance moves the provider's clock.
	Advance func(d time.Duration)
	// Window is how old a callback may be. Zero means 5 minutes.
	Window time.Duration
	// Foreign returns the callback with which another customer of the provider, who has
	// another key, would say of an order that it is paid.
	Foreign func(t testing.TB, order uuid.UUID) Callback
	// Fail makes the next call fail: with after it is done, and only its answer is lost.
	Fail func(after bool)
}

// Callback is what a provider sends.
type Callback struct {
	Header map[string][]string // names are canonical
	Body   []byte
}

// Run runs every case, each on a harness of its own.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for name, test := range map[string]func(t *testing.T, h Harness){
		"Name is a slug of at most 32 characters": func(t *testing.T, h Harness) {
			require.True(t, core.IsSlug(h.Provider.Name()) && len(h.Provider.Name()) <= 32, h.Provider.Name())
		},
		"Create starts a payment, and again returns the one that is there": createOnce,
		"of those who create at once all get the same payment":             createAtOnce,
		"Find is ErrPaymentNotFound where the provider was never asked": func(t *testing.T, h Harness) {
			_, err := h.Provider.Find(t.Context(), uuid.Must(uuid.NewV7()))
			require.ErrorIs(t, err, courses.ErrPaymentNotFound)
		},
		"what is paid is charged once and refunded once":         refundOnce,
		"a payment that failed charges nobody":                   failed,
		"no payment begins after the order is given up":          over,
		"a callback says what has become of a payment":           callback,
		"a callback that was altered or is another's is refused": forged,
		"a callback that is older than the window is refused":    late,
		"a call whose answer was lost can be made again":         lostAnswer,
		"a context that has ended ends a call":                   ended,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// ask returns a request for a new payment.
func ask() courses.PaymentRequest {
	return courses.PaymentRequest{
		Order: uuid.Must(uuid.NewV7()), Amount: core.Money{Minor: 199900, Currency: "RUB"}, Description: "Курс «Go» & more", Email: "sam@example.org",
		ReturnURL: "https://school.example.org/courses/go/", ExpiresAt: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func create(t testing.TB, h Harness) (courses.PaymentRequest, courses.Payment) {
	t.Helper()
	in := ask()
	p, err := h.Provider.Create(t.Context(), in)
	require.NoError(t, err)
	return in, p
}

// ledger holds what the provider has charged and given back.
func (h Harness) ledger(t testing.TB, order uuid.UUID, charges, refunds int) {
	t.Helper()
	if h.Ledger != nil {
		gotCharges, gotRefunds := h.Ledger(t, order)
		require.Equal(t, [2]int{charges, refunds}, [2]int{gotCharges, gotRefunds}, "charges and refunds")
	}
}

func createOnce(t *testing.T, h Harness) {
	in, first := create(t, h)
	require.NotEmpty(t, first.ID)
	require.LessOrEqual(t, len(first.ID), 255)
	require.Equal(t, in.Order, first.Order)
	require.Equal(t, in.Amount, first.Amount)
	require.Equal(t, courses.PaymentPending, first.State)
	again, err := h.Provider.Create(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, first, again)
	found, err := h.Provider.Find(t.Context(), in.Order)
	require.NoError(t, err)
	require.Equal(t, first, found)
	_, other := create(t, h)
	require.NotEqual(t, first.ID, other.ID)
	h.ledger(t, in.Order, 0, 0)
}

func createAtOnce(t *testing.T, h Harness) {
	in := ask()
	made := make([]courses.Payment, 16)
	errs := make([]error, len(made))
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() { made[i], errs[i] = h.Provider.Create(t.Context(), in) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Len(t, slices.Compact(made), 1)
}

func refundOnce(t *testing.T, h Harness) {
	if h.Settle == nil {
		t.Skip("nobody pays in this harness")
	}
	in, p := create(t, h)
	for range 2 {
		h.Settle(t, in.Order, true)
	}
	found, err := h.Provider.Find(t.Context(), in.Order)
	require.NoError(t, err)
	require.Equal(t, courses.PaymentPaid, found.State)
	h.ledger(t, in.Order, 1, 0)
	for range 2 {
		require.NoError(t, h.Provider.Refund(t.Context(), p))
	}
	found, err = h.Provider.Find(t.Context(), in.Order)
	require.NoError(t, err)
	require.Equal(t, courses.PaymentRefunded, found.State)
	again, err := h.Provider.Create(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, found.ID, again.ID, "an order has one payment, whatever has become of it")
	h.ledger(t, in.Order, 1, 1)
}

func failed(t *testing.T, h Harness) {
	if h.Settle == nil {
		t.Skip("nobody pays in this harness")
	}
	in, p := create(t, h)
	h.Settle(t, in.Order, false)
	found, err := h.Provider.Find(t.Context(), in.Order)
	require.NoError(t, err)
	require.Equal(t, courses.PaymentFailed, found.State)
	require.Error(t, h.Provider.Refund(t.Context(), p), "there is nothing to give back")
	h.ledger(t, in.Order, 0, 0)
}

func over(t *testing.T, h Harness) {
	if h.Settle == nil || h.Advance == nil {
		t.Skip("the clock of this harness does not move")
	}
	in := ask()
	in.ExpiresAt = time.Now()
	_, err := h.Provider.Create(t.Context(), in)
	require.NoError(t, err)
	h.Advance(time.Until(in.ExpiresAt.AddDate(100, 0, 0)))
	h.Settle(t, in.Order, true)
	found, err := h.Provider.Find(t.Context(), in.Order)
	require.NoError(t, err)
	require.NotEqual(t, courses.PaymentPaid, found.State)
	h.ledger(t, in.Order, 0, 0)
}

func callback(t *testing.T, h Harness) {
	if h.Settle == nil {
		t.Skip("nobody pays in this harness")
	}
	for paid, state := range map[bool]courses.PaymentState{true: courses.PaymentPaid, false: courses.PaymentFailed} {
		in, p := create(t, h)
		c := h.Settle(t, in.Order, paid)
		event, err := h.Provider.Callback(t.Context(), c.Header, c.Body)
		require.NoError(t, err)
		require.NotEmpty(t, event.ID)
		require.LessOrEqual(t, len(event.ID), 255)
		require.Equal(t, []any{p.ID, in.Order, in.Amount, state}, []any{event.Payment.ID, event.Payment.Order, event.Payment.Amount, event.Payment.State})
		again, err := h.Provider.Callback(t.Context(), c.Header, c.Body)
		require.NoError(t, err)
		require.Equal(t, event, again, "it may come any number of times")
		other := h.Settle(t, in.Order, paid)
		second, err := h.Provider.Callback(t.Context(), other.Header, other.Body)
		require.NoError(t, err)
		require.NotEqual(t, event.ID, second.ID)
	}
}

func forged(t *testing.T, h Harness) {
	if h.Settle == nil {
		t.Skip("nobody pays in this harness")
	}
	r := random(t)
	in, _ := create(t, h)
	c, other := h.Settle(t, in.Order, true), h.Settle(t, in.Order, true)
	refused := func(what string, header map[string][]string, body []byte) {
		t.Helper()
		_, err := h.Provider.Callback(t.Context(), header, body)
		require.ErrorIs(t, err, courses.ErrCallback, "%s: %q %q", what, header, body)
	}
	refused("another's signature", other.Header, c.Body)
	refused("no body", c.Header, nil)
	refused("no headers", nil, c.Body)
	refused("a body that is followed", c.Header, append(slices.Clone(c.Body), ' '))
	refused("a long body", c.Header, []byte(strings.Repeat(string(c.Body), 1000)))
	for i := range c.Body {
		altered := slices.Clone(c.Body)
		altered[i] ^= 1 << r.IntN(8)
		refused(fmt.Sprint("an altered byte ", i), c.Header, altered)
		refused(fmt.Sprint("cut at ", i), c.Header, c.Body[:i])
	}
	for name, values := range c.Header {
		header := maps.Clone(c.Header)
		delete(header, name)
		refused("without "+name, header, c.Body)
		for i := range values[0] {
			altered := []byte(values[0])
			altered[i] ^= 1
			header[name] = []string{string(altered)}
			refused("an altered "+name, header, c.Body)
		}
	}
	if h.Foreign != nil {
		foreign := h.Foreign(t, in.Order)
		refused("another customer's key", foreign.Header, foreign.Body)
	}
	_, err := h.Provider.Callback(t.Context(), c.Header, c.Body)
	require.NoError(t, err, "the true one is taken")
}

func late(t *testing.T, h Harness) {
	if h.Settle == nil || h.Advance == nil {
		t.Skip("the clock of this harness does not move")
	}
	window := h.Window
	if window == 0 {
		window = 5 * time.Minute
	}
	in, _ := create(t, h)
	c := h.Settle(t, in.Order, true)
	h.Advance(window - 2*time.Second)
	_, err := h.Provider.Callback(t.Context(), c.Header, c.Body)
	require.NoError(t, err)
	h.Advance(4 * time.Second)
	_, err = h.Provider.Callback(t.Context(), c.Header, c.Body)
	require.ErrorIs(t, err, courses.ErrCallback)
	h.Advance(-2*window - 4*time.Second)
	_, err = h.Provider.Callback(t.Context(), c.Header, c.Body)
	require.ErrorIs(t, err, courses.ErrCallback, "of a time that is yet to come")
}

func lostAnswer(t *testing.T, h Harness) {
	if h.Fail == nil || h.Settle == nil {
		t.Skip("no call of this harness fails")
	}
	for _, after := range []bool{true, false} {
		in := ask()
		h.Fail(after)
		_, err := h.Provider.Create(t.Context(), in)
		require.ErrorIs(t, err, core.ErrUnavailable)
		p, err := h.Provider.Create(t.Context(), in)
		require.NoError(t, err)
		h.Settle(t, in.Order, true)
		h.Fail(after)
		if _, err = h.Provider.Find(t.Context(), in.Order); err != nil { // a client may look again by itself
			require.ErrorIs(t, err, core.ErrUnavailable, "it is not said to be missing")
		}
		h.Fail(after)
		require.ErrorIs(t, h.Provider.Refund(t.Context(), p), core.ErrUnavailable)
		require.NoError(t, h.Provider.Refund(t.Context(), p))
		h.ledger(t, in.Order, 1, 1)
	}
}

func ended(t *testing.T, h Harness) {
	in, p := create(t, h)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	_, createErr := h.Provider.Create(ctx, ask())
	_, findErr := h.Provider.Find(ctx, in.Order)
	for _, err := range []error{createErr, findErr, h.Provider.Refund(ctx, p)} {
		require.Error(t, err)
		require.NotErrorIs(t, err, courses.ErrPaymentNotFound)
	}
	require.Less(t, time.Since(start), 2*time.Second)
}

func random(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("USTAT_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "USTAT_TEST_SEED")
	}
	t.Logf("replay with USTAT_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}
