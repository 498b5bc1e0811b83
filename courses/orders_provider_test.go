package courses_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// TestOrdersOfAProviderThatIsNotConfiguredAnyMore settles orders of two providers, one of
// which the platform has no more.
func TestOrdersOfAProviderThatIsNotConfiguredAnyMore(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		w.coupon(t, courses.NewCoupon{Code: "ONE", Percent: 10, Limit: 1})
		open, paid := w.paid(t, "Open"), w.paid(t, "Paid")
		refunding := w.ordered(t, w.sam, paid.Slug, "")
		w.pay(t, refunding.ID)
		w.bank.away(core.ErrUnavailable, nil)
		_, err := w.RefundOrder(t.Context(), w.admin, refunding.ID)
		require.NoError(t, err)
		w.bank.away(nil, nil)
		gone := w.ordered(t, w.sam, open.Slug, "ONE")
		other := newBank(t, "other", w.clock)
		after := w.serviceWith(t, courses.Config{Payments: []courses.Payments{other}})
		stays, err := after.CreateOrder(t.Context(), w.bob, courses.NewOrder{Course: open.Slug})
		require.NoError(t, err)
		_, err = other.Settle(stays.ID, true)
		require.NoError(t, err)
		used := func() int {
			c, err := w.Coupon(t.Context(), w.admin, "ONE")
			require.NoError(t, err)
			return c.Used
		}

		w.clock.add(2 * time.Minute)
		_, err = after.SettleOrders(t.Context())
		require.ErrorIs(t, err, core.ErrUnavailable)
		require.ErrorContains(t, err, `"fake"`, "the provider that is missed is named")
		require.ErrorContains(t, err, gone.ID.String())
		require.ErrorContains(t, err, refunding.ID.String())
		require.Equal(t, courses.OrderPaid, w.orderNow(t, stays.ID).Status, "the others go on")

		w.clock.add(24*time.Hour + 30*time.Minute) // it may have been paid in its last minute
		_, err = after.SettleOrders(t.Context())
		require.ErrorContains(t, err, gone.ID.String())
		require.Equal(t, courses.OrderPending, w.orderNow(t, gone.ID).Status)
		require.Equal(t, 1, used())
		w.clock.add(time.Hour)
		for range 2 { // it is given up, and then not watched any more
			w.clock.add(2 * time.Minute)
			_, err = after.SettleOrders(t.Context())
			if err != nil {
				require.NotContains(t, err.Error(), gone.ID.String())
			}
		}
		now := w.orderNow(t, gone.ID)
		require.Equal(t, []any{courses.OrderExpired, "expired", false}, []any{now.Status, now.Code, now.Watched})
		require.Zero(t, used(), "the use of the coupon is given back")
		require.Equal(t, courses.OrderRefunding, w.orderNow(t, refunding.ID).Status, "money that is owed is not forgotten")

		w.clock.add(25 * time.Hour)
		_, err = w.SettleOrders(t.Context())
		require.NoError(t, err)
		require.Equal(t, courses.OrderRefunded, w.orderNow(t, refunding.ID).Status)
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

func TestARefundThatFailsIsAskedForLessAndLess(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		o := w.ordered(t, w.sam, w.paid(t, "Go").Slug, "")
		w.pay(t, o.ID)
		w.bank.away(core.ErrUnavailable, nil)
		_, err := w.RefundOrder(t.Context(), w.admin, o.ID)
		require.NoError(t, err)
		for range 24 * 60 {
			w.clock.add(time.Minute)
			_, _ = w.SettleOrders(t.Context())
		}
		require.Less(t, w.bank.count("refund"), 25)
		require.Greater(t, w.bank.count("refund"), 8)
		w.bank.away(nil, nil)
		w.clock.add(25 * time.Hour)
		_, err = w.SettleOrders(t.Context())
		require.NoError(t, err)
		require.Equal(t, courses.OrderRefunded, w.orderNow(t, o.ID).Status)
	})
}
