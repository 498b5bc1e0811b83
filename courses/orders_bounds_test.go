package courses_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// TestAUserHasSoManyOpenOrders comes for the last places all at once, and changes the
// terms of an order over and over.
func TestAUserHasSoManyOpenOrders(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		const more = 6
		list := make([]courses.Course, courses.MaxOpenOrders+more)
		for i := range list {
			list[i] = w.paid(t, fmt.Sprint("Course ", i))
		}
		for _, c := range list[:courses.MaxOpenOrders-2] {
			w.ordered(t, w.sam, c.Slug, "")
		}
		refused := 0
		for _, err := range together(more+2, func(i int) error {
			_, err := w.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: list[courses.MaxOpenOrders-2+i].Slug})
			return err
		}) {
			if err != nil {
				require.ErrorIs(t, err, courses.ErrTooManyOrders)
				require.ErrorIs(t, err, core.ErrFailedPrecondition)
				require.Equal(t, []string{"orders"}, fields(t, err))
				refused++
			}
		}
		require.Equal(t, more, refused, "exactly so many are left out")
		require.NoError(t, w.backend.Verify(t.Context()))
		w.ordered(t, w.bob, list[0].Slug, "")
		again := w.ordered(t, w.sam, list[0].Slug, "") // which is there
		w.pay(t, again.ID)
		o, err := w.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: list[1].Slug, Provider: "other"})
		require.NoError(t, err, "one that is paid makes room")
		_, err = w.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: list[1].Slug})
		require.ErrorIs(t, err, courses.ErrTooManyOrders, "those that were replaced may still be paid")
		require.Equal(t, courses.OrderPending, w.orderNow(t, o.ID).Status, "a refusal changes nothing")
		for range 4 {
			w.clock.add(26 * time.Hour)
			_, err = w.SettleOrders(t.Context())
			require.NoError(t, err)
		}
		w.ordered(t, w.sam, list[1].Slug, "")
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// TestCodesOfCouponsAreNotGuessed tries codes until there are no more tries, many at once.
func TestCodesOfCouponsAreNotGuessed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		w.clock.step = time.Millisecond
		w.coupon(t, courses.NewCoupon{Code: "RIGHT", Percent: 10})
		c := w.paid(t, "Go")
		for range 2 * courses.CouponTries { // none of which is a wrong one
			w.ordered(t, w.sam, c.Slug, "RIGHT")
			_, err := w.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: "nothing", Coupon: "RIGHT"})
			require.ErrorIs(t, err, courses.ErrCourseNotFound)
		}
		wrong := 0
		for _, err := range together(3*courses.CouponTries, func(i int) error {
			_, err := w.CreateOrder(t.Context(), w.bob, courses.NewOrder{Course: c.Slug, Coupon: fmt.Sprint("GUESS-", i)})
			return err
		}) {
			if errors.Is(err, courses.ErrCoupon) {
				wrong++
				continue
			}
			require.ErrorIs(t, err, courses.ErrTooManyCoupons)
			require.ErrorIs(t, err, core.ErrRateLimited)
			require.Positive(t, err.(*core.Error).RetryAfter)
		}
		require.Equal(t, courses.CouponTries, wrong)
		_, err := w.CreateOrder(t.Context(), w.bob, courses.NewOrder{Course: c.Slug, Coupon: "RIGHT"})
		require.ErrorIs(t, err, courses.ErrTooManyCoupons, "not even the right one is told")
		w.ordered(t, w.bob, c.Slug, "")
		w.ordered(t, w.sam, c.Slug, "RIGHT")
		w.clock.add(time.Hour)
		w.ordered(t, w.bob, c.Slug, "RIGHT")
		for i := range 2 * courses.CouponTries {
			_, err := w.CreateOrder(t.Context(), w.admin, courses.NewOrder{Course: c.Slug, Coupon: fmt.Sprint("GUESS-", i)})
			require.ErrorIs(t, err, courses.ErrCoupon, "an admin sees them all")
		}
	})
}

// TestAnUnpaidOrderGivesItsCouponBack lets the time of an order pass, and has its payment
// fail.
func TestAnUnpaidOrderGivesItsCouponBack(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		w.coupon(t, courses.NewCoupon{Code: "ONE", Percent: 10, Limit: 1, PerUser: 1})
		c := w.paid(t, "Go")
		for _, end := range []func(o courses.Order){
			func(courses.Order) { w.clock.add(25 * time.Hour) },
			func(o courses.Order) { require.NoError(t, w.post(t, w.bank.settled(t, o.ID, false))) },
		} {
			o := w.ordered(t, w.sam, c.Slug, "ONE")
			_, err := w.CreateOrder(t.Context(), w.bob, courses.NewOrder{Course: c.Slug, Coupon: "ONE"})
			require.ErrorIs(t, err, courses.ErrCoupon, "the only one is held")
			end(o)
			_, err = w.SettleOrders(t.Context())
			require.NoError(t, err)
			require.Equal(t, courses.OrderExpired, w.orderNow(t, o.ID).Status)
			got, err := w.Coupon(t.Context(), w.admin, "ONE")
			require.NoError(t, err)
			require.Zero(t, got.Used)
			require.NoError(t, w.backend.Verify(t.Context()))
		}
		require.Equal(t, "ONE", w.ordered(t, w.bob, c.Slug, "ONE").Coupon)
	})
}

// TestWhoHasPaidForAnArchivedCourseGetsTheMoneyBack archives a course for which buyers
// wait, with the provider away and a job that is stopped in the middle.
func TestWhoHasPaidForAnArchivedCourseGetsTheMoneyBack(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		w.coupon(t, courses.NewCoupon{Code: "ALL", Percent: 100})
		c := w.paid(t, "Go")
		w.capacity(t, c, 1)
		people := w.students(t, 4) // one is seated, two have paid and wait, one has a coupon of all
		list := make([]courses.Order, 3)
		for i := range list {
			list[i] = w.ordered(t, people[i], c.Slug, "")
		}
		n := 2
		_, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Capacity: &n})
		require.NoError(t, err)
		w.pay(t, list[0].ID)
		free := w.ordered(t, people[3], c.Slug, "ALL")
		_, err = w.Cancel(t.Context(), people[3], c.Slug, "")
		require.NoError(t, err)
		w.pay(t, list[1].ID)
		w.pay(t, list[2].ID)
		_, err = w.Enroll(t.Context(), people[3], c.Slug, "")
		require.NoError(t, err)
		require.Equal(t, courses.Waiting, w.status(t, c.ID, people[2]))
		require.Equal(t, courses.Waiting, w.status(t, c.ID, people[3]))
		_, err = w.SettleOrders(t.Context())
		require.NoError(t, err)
		require.Equal(t, courses.OrderPaid, w.orderNow(t, list[2].ID).Status, "who waits for a published course keeps waiting")

		_, err = w.Archive(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = w.SettleOrders(stopped)
		require.Error(t, err)
		w.bank.away(core.ErrUnavailable, nil)
		w.clock.add(2 * time.Minute)
		_, err = w.SettleOrders(t.Context())
		require.ErrorIs(t, err, core.ErrUnavailable)
		o := w.orderNow(t, list[2].ID)
		require.Equal(t, []any{courses.OrderRefunding, "course_closed"}, []any{o.Status, o.Code})
		require.Equal(t, courses.Refunded, w.status(t, c.ID, people[2]))
		w.bank.away(nil, nil)
		w.clock.add(10 * time.Minute)
		_, err = w.SettleOrders(t.Context())
		require.NoError(t, err)
		require.Equal(t, courses.OrderRefunded, w.orderNow(t, list[2].ID).Status)
		require.Equal(t, courses.OrderRefunded, w.orderNow(t, free.ID).Status, "nothing is to be sent")
		require.Equal(t, courses.Refunded, w.status(t, c.ID, people[3]))
		_, refunds := w.bank.charged(list[2].ID)
		require.Equal(t, 1, refunds)
		for i := range 2 {
			require.Equal(t, courses.Active, w.status(t, c.ID, people[i]), "who has a seat keeps it")
			require.Equal(t, courses.OrderPaid, w.orderNow(t, list[i].ID).Status)
		}
		w.balanced(t)
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}
