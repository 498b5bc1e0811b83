package courses

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// The bounds of what a provider of payments is asked.
const (
	paymentTime  = 10 * time.Second // of one call
	paymentCalls = 32               // of one provider at once
	maxPayURL    = 2048             // bytes
)

// askedProvider is a provider of payments as a Service calls it: a call ends when its
// time is over, whether or not the provider obeys its context, and so few are open at
// once that one which never answers takes no more than their goroutines.
type askedProvider struct {
	Payments
	open chan struct{} // has an element for each open call
}

func askedProviders(list []Payments) []Payments {
	asked := make([]Payments, len(list))
	for i, p := range list {
		asked[i] = askedProvider{p, make(chan struct{}, paymentCalls)}
	}
	return asked
}

// Create implements Payments.
func (p askedProvider) Create(ctx context.Context, in PaymentRequest) (Payment, error) {
	return p.ask(ctx, func(ctx context.Context) (Payment, error) { return p.Payments.Create(ctx, in) })
}

// Find implements Payments.
func (p askedProvider) Find(ctx context.Context, order uuid.UUID) (Payment, error) {
	return p.ask(ctx, func(ctx context.Context) (Payment, error) { return p.Payments.Find(ctx, order) })
}

// Refund implements Payments.
func (p askedProvider) Refund(ctx context.Context, payment Payment) error {
	_, err := p.ask(ctx, func(ctx context.Context) (Payment, error) { return Payment{}, p.Payments.Refund(ctx, payment) })
	return err
}

// ask makes one call. One that outlives its time is left to itself, and counts as open
// until it returns.
func (p askedProvider) ask(ctx context.Context, call func(ctx context.Context) (Payment, error)) (Payment, error) {
	ctx, cancel := context.WithTimeout(ctx, paymentTime)
	type answer struct {
		payment Payment
		err     error
	}
	answers := make(chan answer, 1)
	select {
	case p.open <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return Payment{}, core.ErrUnavailable.Withf("%d calls of the provider of payments are open", paymentCalls).Because(ctx.Err())
	}
	go func() {
		var a answer
		defer func() {
			if r := recover(); r != nil {
				a = answer{err: core.ErrInternal.Because(fmt.Errorf("the provider of payments %q panics: %v", p.Name(), r))}
			}
			<-p.open
			answers <- a
		}()
		a.payment, a.err = call(ctx)
	}()
	defer cancel()
	select {
	case a := <-answers:
		return a.payment, a.err
	case <-ctx.Done():
		return Payment{}, ctx.Err()
	}
}

// checkAnswer returns nil, or a core.ErrUnavailable that says for the log why a payment
// cannot be that of an order: the fault is the provider's, not the buyer's.
func checkAnswer(p Payment, o Order) error {
	var wrong error
	switch {
	case p.Order != o.ID:
		wrong = fmt.Errorf("it is of order %s", p.Order)
	case p.Amount != o.Total:
		wrong = fmt.Errorf("it is of %.40s, not %s", p.Amount, o.Total)
	case p.ID == "" || !isPaymentText(p.ID):
		wrong = fmt.Errorf("its id is not 1 to %d bytes of text: %.300q", maxPaymentText, p.ID)
	case !p.State.known():
		wrong = fmt.Errorf("its state is %.40q", p.State)
	case !isPayURL(p.URL):
		wrong = fmt.Errorf("its URL is none of http or https of at most %d bytes: %.300q", maxPayURL, p.URL)
	default:
		return nil
	}
	return core.ErrUnavailable.Withf("the provider of payments answers what cannot be").Because(fmt.Errorf("the payment of order %s by %q: %w", o.ID, o.Provider, wrong))
}

func (s PaymentState) known() bool {
	return s == PaymentPending || s == PaymentPaid || s == PaymentFailed || s == PaymentRefunded
}

// isPaymentText reports whether a provider's id can be kept.
func isPaymentText(id string) bool { return len(id) <= maxPaymentText && core.ValidText(id) }

// isPayURL reports whether a buyer can be sent to a URL, or there is none.
func isPayURL(s string) bool {
	if s == "" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxPayURL && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && core.IsLine(s)
}
