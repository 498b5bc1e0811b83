package courses_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/fake"
)

// bank is a fake provider that can be away: before it does what it is asked for, or
// after, with only its answer lost.
type bank struct {
	*fake.Provider
	mu     sync.Mutex
	slow   bool // it forgets when orders are given up
	before error
	after  error
	calls  map[string]int
}

func newBank(t testing.TB, name string, c core.Clock) *bank {
	t.Helper()
	p, err := fake.New(fake.Config{Name: name, Clock: c, PayURL: "https://pay.example.org/" + name})
	require.NoError(t, err)
	return &bank{Provider: p, calls: map[string]int{}}
}

// away makes the calls fail from now on; nil errors make them succeed.
func (b *bank) away(before, after error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before, b.after = before, after
}

func (b *bank) count(call string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[call]
}

// call counts a call, which must not come from inside a transaction and has a deadline.
func (b *bank) call(ctx context.Context, name string) (before, after error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls[name]++
	if err := core.CheckNested(ctx); err != nil {
		panic("a provider is called inside a transaction")
	}
	if _, ok := ctx.Deadline(); !ok {
		panic("a provider is called without a deadline")
	}
	return b.before, b.after
}

func (b *bank) Create(ctx context.Context, in courses.PaymentRequest) (courses.Payment, error) {
	before, after := b.call(ctx, "create")
	if before != nil {
		return courses.Payment{}, before
	}
	if b.slow {
		in.ExpiresAt = time.Time{}
	}
	p, err := b.Provider.Create(ctx, in)
	if after != nil {
		return courses.Payment{}, after
	}
	return p, err
}

func (b *bank) Find(ctx context.Context, order uuid.UUID) (courses.Payment, error) {
	before, after := b.call(ctx, "find")
	if before != nil {
		return courses.Payment{}, before
	}
	p, err := b.Provider.Find(ctx, order)
	if after != nil {
		return courses.Payment{}, after
	}
	return p, err
}

func (b *bank) Refund(ctx context.Context, p courses.Payment) error {
	before, after := b.call(ctx, "refund")
	if before != nil {
		return before
	}
	if err := b.Provider.Refund(ctx, p); err != nil {
		return err
	}
	return after
}

// charged returns what the ledger has of an order.
func (b *bank) charged(order uuid.UUID) (charges, refunds int) {
	for _, e := range b.Ledger() {
		if e.Order == order {
			return e.Charges, e.Refunds
		}
	}
	return 0, 0
}

// letter is a callback.
type letter struct {
	header map[string][]string
	body   []byte
}

// settled has the buyer of an order pay, or fail to, and returns a callback of it.
func (b *bank) settled(t testing.TB, order uuid.UUID, paid bool) letter {
	t.Helper()
	event, err := b.Settle(order, paid)
	require.NoError(t, err)
	return b.sealed(t, event)
}

func (b *bank) sealed(t testing.TB, event courses.PaymentEvent) letter {
	t.Helper()
	header, body, err := b.Seal(event)
	require.NoError(t, err)
	return letter{header, body}
}

// post hands a callback in.
func (w *world) post(t testing.TB, l letter) error {
	t.Helper()
	return w.PaymentCallback(t.Context(), "fake", l.header, l.body)
}

// pay has the buyer of an order pay, and hands the callback in.
func (w *world) pay(t testing.TB, order uuid.UUID) {
	t.Helper()
	require.NoError(t, w.post(t, w.bank.settled(t, order, true)))
}

func (w *world) ordered(t testing.TB, by core.Actor, slug, coupon string) courses.Order {
	t.Helper()
	o, err := w.CreateOrder(t.Context(), by, courses.NewOrder{Course: slug, Coupon: coupon})
	require.NoError(t, err)
	return o
}

func (w *world) orderNow(t testing.TB, id uuid.UUID) courses.Order {
	t.Helper()
	o, err := w.Order(t.Context(), w.admin, id)
	require.NoError(t, err)
	return o
}

func (w *world) status(t testing.TB, course courses.CourseID, by core.Actor) courses.EnrollmentStatus {
	t.Helper()
	l, err := w.Learner(t.Context(), course, by.UserID)
	require.NoError(t, err)
	return l.Enrollment.Status
}

func (w *world) coupon(t testing.TB, in courses.NewCoupon) courses.Coupon {
	t.Helper()
	c, err := w.CreateCoupon(t.Context(), w.admin, in)
	require.NoError(t, err)
	return c
}

// money is all that is stored about purchases and enrollments, as one text.
func (w *world) money(t testing.TB, db *sql.DB) string {
	t.Helper()
	var out strings.Builder
	for _, table := range []string{"orders", "coupons", "coupon_uses", "payment_events", "entitlements", "enrollments", "course_stats", "outbox", "audit"} {
		rows, err := db.QueryContext(t.Context(), "SELECT * FROM ustat_"+table)
		require.NoError(t, err)
		columns, err := rows.Columns()
		require.NoError(t, err)
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			require.NoError(t, rows.Scan(values...))
			for i, v := range values {
				if columns[i] != "looked_at" && columns[i] != "done_at" {
					fmt.Fprint(&out, table, ".", columns[i], "=", *v.(*any), " ")
				}
			}
			out.WriteByte('\n')
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
	}
	return out.String()
}
