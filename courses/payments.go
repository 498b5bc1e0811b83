package courses

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// Payments is a provider of payments. It is called outside transactions, and may be
// called again for what was interrupted. Implementations are safe for concurrent use
// and pass paymentstest.Run.
type Payments interface {
	// Name is the provider's name in paths and orders: a slug of at most 32 characters.
	Name() string
	// Create starts the payment of an order. Called again for the same order it returns
	// the payment that is there, and charges nobody twice.
	// A request that it will never take is none of core.ErrUnavailable, core.ErrInternal
	// and core.ErrRateLimited: the order is given up then.
	Create(ctx context.Context, in PaymentRequest) (Payment, error)
	// Find returns what has become of the payment of an order, or fails with
	// ErrPaymentNotFound where the provider was never asked.
	Find(ctx context.Context, order uuid.UUID) (Payment, error)
	// Refund gives the whole of a payment back, and returns nil once that is done. Called
	// again it does nothing.
	Refund(ctx context.Context, p Payment) error
	// Callback checks who has sent a callback by its raw headers and body, and reads it.
	// One that is forged, truncated, or older than the provider's window is
	// ErrCallback. The names of headers are canonical, as net/http has them.
	Callback(ctx context.Context, header map[string][]string, body []byte) (PaymentEvent, error)
}

// PaymentRequest is what is to be paid.
type PaymentRequest struct {
	Order       uuid.UUID
	Amount      core.Money
	Description string // for the buyer: the title of the course
	Email       string // of the buyer; may be empty
	ReturnURL   string // where the buyer comes back to; may be empty
	// ExpiresAt is when the order is given up: no payment may begin after it. What has
	// become of one that began before is to be known an hour later.
	ExpiresAt time.Time
}

// PaymentState is what has become of a payment.
type PaymentState string

// The states of a payment.
const (
	PaymentPending  PaymentState = "pending"
	PaymentPaid     PaymentState = "paid"
	PaymentFailed   PaymentState = "failed"
	PaymentRefunded PaymentState = "refunded"
)

// Payment is a payment as its provider knows it.
type Payment struct {
	ID     string // the provider's, at most 255 bytes
	Order  uuid.UUID
	State  PaymentState
	Amount core.Money
	URL    string // where the buyer pays
}

// PaymentEvent is what a callback says. The same event may come any number of times,
// late and in any order.
type PaymentEvent struct {
	ID      string // of the event, the provider's, at most 255 bytes
	Payment Payment
	At      time.Time
}

// CheckPayments returns nil, or a core.ErrInvalid for a list of providers of which one is
// nil, has no slug of at most 32 characters as its name, or the name of another.
func CheckPayments(list []Payments) error {
	seen := map[string]bool{}
	for i, p := range list {
		field := "Payments[" + strconv.Itoa(i) + "]"
		switch {
		case p == nil:
			return core.Invalid(field, "required", "", "", "a provider of payments is expected")
		case !core.IsSlug(p.Name()) || len(p.Name()) > 32:
			return core.Invalid(field, "slug", "32", p.Name(), "the name of a provider is a slug of at most 32 characters")
		case seen[p.Name()]:
			return core.Invalid(field, "unique", "", p.Name(), "another provider has that name")
		}
		seen[p.Name()] = true
	}
	return nil
}
