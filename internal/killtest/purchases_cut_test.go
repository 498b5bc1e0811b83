package killtest_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/internal/wirecut"
	"github.com/ustat/ustat/payments/fake"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/ustattest"
)

// TestPurchasesAreCutAfterEveryMessage orders, pays and refunds over a connection that
// is cut after each message of a side. Then who has asked asks again, what was
// interrupted is settled, and the provider's ledger and what is stored agree. Without
// USTAT_TEST_SCALE it takes those around each COMMIT, and some others.
func TestPurchasesAreCutAfterEveryMessage(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	backend, err := postgres.Open(t.Context(), dsn, nil)
	require.NoError(t, err)
	w := newWorld(t, backend, "postgres", dsn, "pgx", dsn)
	proxy := wirecut.Start(t, dsn)
	throughProxy, err := postgres.Open(t.Context(), proxy.DSN()+"&pool_max_conns=1", nil)
	require.NoError(t, err)
	bank, err := fake.New(fake.Config{})
	require.NoError(t, err)
	through := ustattest.New(t, ustattest.WithBackend(throughProxy), ustattest.WithConfig(ustat.Config{Payments: []courses.Payments{bank}}))
	s := &shop{world: w, bank: bank}
	c := &cutShop{shop: s, through: through, proxy: proxy}

	cuts := 0
	for i, step := range c.steps() {
		c.purchase(t, i, step) // so that no statement is prepared for the first time later
		whole := c.before(t, i)
		proxy.Arm(wirecut.Frontend, 0)
		require.NoError(t, step(t.Context(), whole))
		passed := proxy.Messages()
		for _, m := range passed {
			if scale(t) == 1 && !nearCommit(passed, m) && m.Nth%31 != 1 {
				continue
			}
			c.purchase(t, i, step) // on the connection of now all statements are prepared
			buyer := c.before(t, i)
			proxy.Arm(m.Side, m.Nth)
			err := step(t.Context(), buyer)
			require.True(t, proxy.Cut(), "step %d has no message %v", i, m)
			for again := 0; err != nil && again < 3; again++ {
				err = step(t.Context(), buyer)
			}
			require.NoError(t, err, "it is asked again after a cut at %v", m)
			c.reconnect(t)
			cuts++
		}
	}
	c.settleAll(t)
	s.reconcile(t, "cut")
	w.check(t)
	t.Logf("%d cuts", cuts)
}

// reconnect waits until the pool has noticed that a connection which it holds was cut
// after its last answer.
func (c *cutShop) reconnect(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := c.through.Courses.Categories(t.Context(), core.Page{})
		return err == nil
	}, time.Minute, time.Millisecond)
}

// cutShop is a shop whose PostgreSQL is reached through a proxy.
type cutShop struct {
	*shop
	through *ustattest.Platform
	proxy   *wirecut.Proxy
}

// buyer is one who buys one course.
type buyer struct {
	by    core.Actor
	slug  string
	order uuid.UUID
	event courses.PaymentEvent
}

// steps are what is cut: each may be asked again.
func (c *cutShop) steps() []func(ctx context.Context, b *buyer) error {
	return []func(ctx context.Context, b *buyer) error{
		func(ctx context.Context, b *buyer) error {
			o, err := c.through.Courses.CreateOrder(ctx, b.by, courses.NewOrder{Course: b.slug, Coupon: b.slug, Key: "key"})
			if err == nil {
				b.order = o.ID
			}
			return err
		},
		func(ctx context.Context, b *buyer) error {
			event, err := c.bank.Settle(b.order, true)
			if err != nil {
				return err
			}
			if b.event.ID == "" {
				b.event = event
			}
			header, body, err := c.bank.Seal(b.event)
			if err != nil {
				return err
			}
			return c.through.Courses.PaymentCallback(ctx, "fake", header, body)
		},
		func(ctx context.Context, b *buyer) error {
			_, err := c.through.Courses.RefundOrder(ctx, accounts.System, b.order)
			return err
		},
	}
}

// before returns a buyer who has done the steps before one.
func (c *cutShop) before(t *testing.T, step int) *buyer {
	t.Helper()
	name := "cut-" + strings.ToLower(rand.Text())
	c.shop.purchase(t, name)
	u, err := c.Accounts.UserByUsername(t.Context(), name)
	require.NoError(t, err)
	b := &buyer{by: core.Actor{UserID: u.ID, Role: u.Role}, slug: name}
	for _, earlier := range c.steps()[:step] {
		require.NoError(t, earlier(t.Context(), b))
	}
	return b
}

func (c *cutShop) purchase(t *testing.T, i int, step func(ctx context.Context, b *buyer) error) {
	t.Helper()
	require.NoError(t, step(t.Context(), c.before(t, i)))
}

// settleAll ends every purchase: who has not paid does, and nobody calls back.
func (c *cutShop) settleAll(t *testing.T) {
	t.Helper()
	for _, e := range c.bank.Ledger() {
		_, err := c.bank.Settle(e.Order, true)
		require.NoError(t, err)
	}
	for range 3 {
		c.through.Clock.Advance(2 * time.Hour)
		_, err := c.through.Courses.SettleOrders(t.Context())
		require.NoError(t, err)
	}
}
