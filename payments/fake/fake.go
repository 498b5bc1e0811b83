// Package fake is a provider of payments that moves no money: for demonstrations, and
// for tests that want to know what would have been charged. It keeps all in memory.
package fake

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/signed"
)

// MaxPayments bounds what a Provider remembers: one more is core.ErrUnavailable.
const MaxPayments = 100_000

// Config sets what differs from the defaults.
type Config struct {
	// Name is the provider's name. Empty means "fake".
	Name string
	// Keys sign and verify the callbacks. Nil means a random one, of this process.
	Keys *signed.Keys
	// PayURL is the address of the page where one pays, to which the id of the order is
	// added; see [Provider.Page].
	PayURL string
	// Clock tells the time. Nil means the machine's.
	Clock core.Clock
}

// Provider implements courses.Payments. It is safe for concurrent use.
type Provider struct {
	config   Config
	mu       sync.Mutex
	payments map[uuid.UUID]*payment
}

// payment is a payment and the entries of the ledger about it.
type payment struct {
	courses.Payment
	description string
	returnURL   string
	expires     time.Time // zero is never
	charges     int
	refunds     int
}

// New returns a Provider.
func New(c Config) (*Provider, error) {
	c.Name = cmp.Or(c.Name, "fake")
	c.Clock = cmp.Or[core.Clock](c.Clock, core.SystemClock{})
	if c.Keys == nil {
		key := make([]byte, signed.MinKey)
		rand.Read(key)
		var err error
		if c.Keys, err = signed.NewKeys(key); err != nil {
			return nil, err
		}
	}
	return &Provider{config: c, payments: map[uuid.UUID]*payment{}}, nil
}

// Name implements courses.Payments.
func (p *Provider) Name() string { return p.config.Name }

// Create implements courses.Payments.
func (p *Provider) Create(ctx context.Context, in courses.PaymentRequest) (courses.Payment, error) {
	if err := ctx.Err(); err != nil {
		return courses.Payment{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if there := p.payments[in.Order]; there != nil {
		return there.Payment, nil
	}
	if len(p.payments) >= MaxPayments {
		return courses.Payment{}, core.ErrUnavailable.Withf("the fake provider remembers no more than %d payments", MaxPayments)
	}
	made := &payment{
		Payment:     courses.Payment{ID: "pay_" + in.Order.String(), Order: in.Order, State: courses.PaymentPending, Amount: in.Amount},
		description: in.Description, returnURL: in.ReturnURL, expires: in.ExpiresAt,
	}
	if p.config.PayURL != "" {
		made.URL = strings.TrimSuffix(p.config.PayURL, "/") + "/" + in.Order.String()
	}
	p.payments[in.Order] = made
	return made.Payment, nil
}

// Find implements courses.Payments.
func (p *Provider) Find(ctx context.Context, order uuid.UUID) (courses.Payment, error) {
	if err := ctx.Err(); err != nil {
		return courses.Payment{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if there := p.payments[order]; there != nil {
		return there.Payment, nil
	}
	return courses.Payment{}, courses.ErrPaymentNotFound
}

// Refund implements courses.Payments. What was not paid is core.ErrFailedPrecondition.
func (p *Provider) Refund(ctx context.Context, what courses.Payment) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	there := p.payments[what.Order]
	switch {
	case there == nil || there.ID != what.ID:
		return courses.ErrPaymentNotFound
	case there.State == courses.PaymentRefunded:
		return nil
	case there.State != courses.PaymentPaid:
		return core.ErrFailedPrecondition.Withf("the payment is %s", there.State)
	}
	there.State = courses.PaymentRefunded
	there.refunds++
	return nil
}

// Callback implements courses.Payments.
func (p *Provider) Callback(_ context.Context, header map[string][]string, body []byte) (courses.PaymentEvent, error) {
	return p.config.Keys.Open(header, body, p.config.Clock.Now())
}

// Settle is what the buyer does: the payment of an order is paid, or fails, as it also
// does when the time of the order is over. It returns
// the event of it. Again, and for a payment that has ended, it changes nothing and the
// event is another one of the state that there is. An unknown order is
// courses.ErrPaymentNotFound.
func (p *Provider) Settle(order uuid.UUID, paid bool) (courses.PaymentEvent, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	there := p.payments[order]
	if there == nil {
		return courses.PaymentEvent{}, courses.ErrPaymentNotFound
	}
	if there.State == courses.PaymentPending {
		over := !there.expires.IsZero() && !p.config.Clock.Now().Before(there.expires)
		if there.State = courses.PaymentFailed; paid && !over {
			there.State = courses.PaymentPaid
			there.charges++
		}
	}
	return courses.PaymentEvent{ID: "evt_" + strings.ToLower(rand.Text()), Payment: there.Payment, At: core.Time(p.config.Clock.Now())}, nil
}

// Seal returns the callback of an event, sent now.
func (p *Provider) Seal(e courses.PaymentEvent) (header map[string][]string, body []byte, err error) {
	return p.config.Keys.Seal(e, p.config.Clock.Now())
}

// Entry is what a Provider has charged and given back for an order.
type Entry struct {
	Order   uuid.UUID
	Amount  core.Money
	Charges int
	Refunds int
}

// Ledger returns an entry for each payment that was ever created, by order.
func (p *Provider) Ledger() []Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Entry, 0, len(p.payments))
	for id, there := range p.payments {
		out = append(out, Entry{id, there.Amount, there.charges, there.refunds})
	}
	slices.SortFunc(out, func(a, b Entry) int { return slices.Compare(a.Order[:], b.Order[:]) })
	return out
}

var _ courses.Payments = (*Provider)(nil)
