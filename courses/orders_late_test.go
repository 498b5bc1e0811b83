package courses_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/fake"
)

// TestCallbacksThatChangeNothing tries what an attacker, or a confused provider, may
// send.
func TestCallbacksThatChangeNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.paid(t, "Go")
		o := w.ordered(t, w.sam, c.Slug, "")
		foreign := newBank(t, "fake", w.clock) // whose keys are others
		_, err := foreign.Provider.Create(t.Context(), courses.PaymentRequest{Order: o.ID, Amount: o.Total})
		require.NoError(t, err)
		db := w.beside(t)
		before := w.money(t, db)
		real, err := w.bank.Settle(o.ID, true)
		require.NoError(t, err)
		good := w.bank.sealed(t, real)
		refused := func(l letter, want error) {
			t.Helper()
			require.ErrorIs(t, w.post(t, l), want)
			require.Equal(t, before, w.money(t, db))
		}
		r := random(t)
		for range 40 { // a byte is another
			body := []byte(string(good.body))
			body[r.IntN(len(body))] ^= 1 << r.IntN(8)
			refused(letter{good.header, body}, courses.ErrCallback)
		}
		refused(letter{nil, good.body}, courses.ErrCallback)
		refused(letter{good.header, good.body[:len(good.body)-1]}, courses.ErrCallback)
		refused(letter{good.header, []byte(strings.Repeat("x", 64<<10+1))}, courses.ErrCallback)
		refused(foreign.settled(t, o.ID, true), courses.ErrCallback)
		require.ErrorIs(t, w.PaymentCallback(t.Context(), "other", good.header, good.body), courses.ErrCallback)
		for _, name := range []string{"", "none"} {
			require.ErrorIs(t, w.PaymentCallback(t.Context(), name, good.header, good.body), courses.ErrProviderNotFound)
		}
		unknown := real
		unknown.ID, unknown.Payment.Order = "evt", uuid.Must(uuid.NewV7())
		refused(w.bank.sealed(t, unknown), courses.ErrOrderNotFound)
		elsewhere, err := w.CreateOrder(t.Context(), w.bob, courses.NewOrder{Course: c.Slug, Provider: "other"})
		require.NoError(t, err)
		before = w.money(t, db)
		theirs := real
		theirs.ID, theirs.Payment.Order, theirs.Payment.ID = "evt-2", elsewhere.ID, elsewhere.Payment
		refused(w.bank.sealed(t, theirs), courses.ErrOrderNotFound)

		orders := func() string {
			var lines []string
			for line := range strings.Lines(w.money(t, db)) {
				if !strings.HasPrefix(line, "audit.") && !strings.HasPrefix(line, "payment_events.") {
					lines = append(lines, line)
				}
			}
			return strings.Join(lines, "")
		}
		kept, mismatches := orders(), 0
		for i, spoil := range []func(p *courses.Payment){
			func(p *courses.Payment) { p.Amount.Minor-- },
			func(p *courses.Payment) { p.Amount.Minor++ },
			func(p *courses.Payment) { p.Amount.Currency = "USD" },
			func(p *courses.Payment) { p.ID = "another" },
		} {
			for _, state := range []courses.PaymentState{courses.PaymentPaid, courses.PaymentFailed, courses.PaymentRefunded} {
				wrong := real
				wrong.ID, wrong.Payment.State = fmt.Sprint("wrong-", i, state), state
				spoil(&wrong.Payment)
				l := w.bank.sealed(t, wrong)
				for range 2 { // it is taken, so that it is not sent for ever
					require.NoError(t, w.post(t, l))
				}
				require.Equal(t, kept, orders(), "a payment that is not ours changes nothing")
				mismatches++
				require.Equal(t, mismatches, strings.Count(w.money(t, db), "courses.payment_mismatch"), "each is in the audit log once")
			}
		}
		require.NoError(t, w.post(t, w.bank.sealed(t, real)))
		paid := orders()
		require.NotEqual(t, kept, paid)
		for range 100 {
			require.NoError(t, w.post(t, w.bank.sealed(t, real)))
		}
		require.Equal(t, paid, orders(), "a replay changes nothing")
		w.clock.add(10 * time.Minute)
		require.ErrorIs(t, w.post(t, good), courses.ErrCallback, "a replay that is late is not even read")
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// TestEventsInAnyOrderEndAlike posts what has become of a payment in each order.
func TestEventsInAnyOrderEndAlike(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.paid(t, "Go")
		for i, states := range [][]courses.PaymentState{
			{courses.PaymentPaid, courses.PaymentRefunded, courses.PaymentPending},
			{courses.PaymentRefunded, courses.PaymentPaid, courses.PaymentPending},
			{courses.PaymentPending, courses.PaymentRefunded, courses.PaymentPaid},
			{courses.PaymentRefunded, courses.PaymentPending, courses.PaymentPaid},
		} {
			by := w.person(t, fmt.Sprintf("buyer-%d", i), core.Student)
			o := w.ordered(t, by, c.Slug, "")
			event, err := w.bank.Settle(o.ID, true)
			require.NoError(t, err)
			for k, state := range states {
				event.ID, event.Payment.State = fmt.Sprint("evt-", i, "-", k), state
				require.NoError(t, w.post(t, w.bank.sealed(t, event)))
			}
			require.Equal(t, courses.OrderRefunded, w.orderNow(t, o.ID).Status, "%v", states)
			require.False(t, w.status(t, c.ID, by).Seated(), "%v", states)
		}
		for i, states := range [][]courses.PaymentState{{courses.PaymentFailed, courses.PaymentPaid}, {courses.PaymentPaid, courses.PaymentFailed}} {
			by := w.person(t, fmt.Sprintf("again-%d", i), core.Student)
			o := w.ordered(t, by, c.Slug, "")
			event, err := w.bank.Settle(o.ID, true)
			require.NoError(t, err)
			for k, state := range states {
				event.ID, event.Payment.State = fmt.Sprint("again-", i, "-", k), state
				require.NoError(t, w.post(t, w.bank.sealed(t, event)))
			}
			require.Equal(t, courses.OrderPaid, w.orderNow(t, o.ID).Status, "what is paid is taken")
			require.Equal(t, courses.Active, w.status(t, c.ID, by))
		}
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

func TestARefundEndsTheAccessAndFreesTheSeat(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		w.coupon(t, courses.NewCoupon{Code: "TEN", Percent: 10, Limit: 1, PerUser: 1})
		c := w.paid(t, "Go")
		w.capacity(t, c, 1)
		o := w.ordered(t, w.sam, c.Slug, "TEN")
		late := w.ordered(t, w.bob, c.Slug, "")
		w.pay(t, o.ID)
		w.pay(t, late.ID) // the last seat has gone
		require.Equal(t, courses.Waiting, w.status(t, c.ID, w.bob))
		require.Equal(t, courses.OrderPaid, w.orderNow(t, late.ID).Status)
		w.events(t)

		w.bank.away(core.ErrUnavailable, nil)
		got, err := w.RefundOrder(t.Context(), w.admin, o.ID)
		require.NoError(t, err)
		require.Equal(t, []any{courses.OrderRefunding, "refunded_by_admin", "sam"}, []any{got.Status, got.Code, got.Username}, "the access ends at once, the money follows")
		require.Equal(t, courses.Refunded, w.status(t, c.ID, w.sam))
		require.Equal(t, courses.Active, w.status(t, c.ID, w.bob), "who waits has the seat")
		require.Equal(t, []string{courses.EventRefunded, courses.EventPromoted}, w.events(t))
		require.EqualValues(t, 1, w.stats(t, c.Slug).Students)
		coupon, err := w.Coupon(t.Context(), w.admin, "TEN")
		require.NoError(t, err)
		require.Zero(t, coupon.Used)
		_, err = w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.ErrorIs(t, err, courses.ErrPaymentRequired)
		require.NoError(t, w.backend.Verify(t.Context()))

		w.clock.add(2 * time.Minute)
		_, err = w.SettleOrders(t.Context())
		require.ErrorIs(t, err, core.ErrUnavailable)
		w.bank.away(nil, core.ErrUnavailable) // it gives the money back, and nobody hears of it
		w.clock.add(2 * time.Minute)
		_, err = w.SettleOrders(t.Context())
		require.ErrorIs(t, err, core.ErrUnavailable)
		w.bank.away(nil, nil)
		w.clock.add(5 * time.Minute) // it is asked less and less often
		_, err = w.SettleOrders(t.Context())
		require.NoError(t, err)
		require.Equal(t, courses.OrderRefunded, w.orderNow(t, o.ID).Status)
		charges, refunds := w.bank.charged(o.ID)
		require.Equal(t, [2]int{1, 1}, [2]int{charges, refunds})
		require.Equal(t, []string{courses.EventOrderRefunded}, w.events(t))
		w.capacity(t, c, 5)
		again := w.ordered(t, w.sam, c.Slug, "TEN")
		w.pay(t, again.ID)
		require.Equal(t, courses.Active, w.status(t, c.ID, w.sam), "who was refunded may buy again")
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// TestWhoHasPaidAndGivesUpWaitingGetsTheMoneyBack also refunds an order whose enrollment
// an import has given another source.
func TestWhoHasPaidAndGivesUpWaitingGetsTheMoneyBack(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.shelf(t)
		c := w.paid(t, "Go")
		w.capacity(t, c, 1)
		first, second := w.ordered(t, w.sam, c.Slug, ""), w.ordered(t, w.bob, c.Slug, "")
		w.pay(t, first.ID)
		w.pay(t, second.ID)
		e, err := w.Cancel(ctx, w.bob, c.Slug, "")
		require.NoError(t, err)
		require.Equal(t, courses.Refunded, e.Status)
		require.Equal(t, []any{courses.OrderRefunding, "cancelled"}, []any{w.orderNow(t, second.ID).Status, w.orderNow(t, second.ID).Code})
		require.NoError(t, w.backend.Verify(ctx))
		w.clock.add(2 * time.Minute)
		_, err = w.SettleOrders(ctx)
		require.NoError(t, err)
		require.Equal(t, courses.OrderRefunded, w.orderNow(t, second.ID).Status)
		charges, refunds := w.bank.charged(second.ID)
		require.Equal(t, [2]int{1, 1}, [2]int{charges, refunds})

		require.NoError(t, w.backend.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
			l, err := tx.LearnerOf(ctx, c.ID, w.sam.UserID)
			l.Enrollment.Source = courses.SourceImport
			return errors.Join(err, tx.UpdateEnrollments(ctx, []courses.Enrollment{l.Enrollment}))
		}))
		_, err = w.RefundOrder(ctx, w.admin, first.ID)
		require.NoError(t, err)
		require.Equal(t, courses.Refunded, w.status(t, c.ID, w.sam))
		require.NoError(t, w.backend.Verify(ctx))
	})
}

// TestMoneyThatComesLate pays orders that were given up.
func TestMoneyThatComesLate(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		w.bank.slow = true
		w.coupon(t, courses.NewCoupon{Code: "ONE", Percent: 10, Limit: 1})
		settle := func() {
			t.Helper()
			w.clock.add(2 * time.Minute)
			_, err := w.SettleOrders(t.Context())
			require.NoError(t, err)
		}
		used := func() int {
			c, err := w.Coupon(t.Context(), w.admin, "ONE")
			require.NoError(t, err)
			return c.Used
		}
		given := func(name, coupon string) (courses.Course, courses.Order) { // an order whose time is over
			t.Helper()
			c := w.paid(t, name)
			o := w.ordered(t, w.sam, c.Slug, coupon)
			w.clock.add(25 * time.Hour)
			settle()
			require.Equal(t, []any{courses.OrderExpired, "expired"}, []any{w.orderNow(t, o.ID).Status, w.orderNow(t, o.ID).Code})
			return c, o
		}
		late := func(o courses.Order) { t.Helper(); w.pay(t, o.ID) }
		ends := func(o courses.Order, status courses.OrderStatus, code string) {
			t.Helper()
			now := w.orderNow(t, o.ID)
			require.Equal(t, []any{status, code}, []any{now.Status, now.Code})
		}

		c, o := given("taken", "ONE")
		require.Zero(t, used())
		late(o)
		ends(o, courses.OrderPaid, "")
		require.Equal(t, 1, used())
		require.Equal(t, courses.Active, w.status(t, c.ID, w.sam))

		w.coupon(t, courses.NewCoupon{Code: "TWO", Percent: 10, Limit: 1})
		c, o = given("coupon gone", "TWO")
		w.ordered(t, w.bob, c.Slug, "TWO")
		late(o)
		ends(o, courses.OrderRefunding, "coupon_gone")
		require.Equal(t, courses.EnrollmentStatus(""), w.status(t, c.ID, w.sam))

		c, o = given("paid already", "")
		second := w.ordered(t, w.sam, c.Slug, "")
		w.pay(t, second.ID)
		late(o)
		ends(o, courses.OrderRefunding, "already_enrolled")
		ends(second, courses.OrderPaid, "")
		require.Equal(t, courses.Active, w.status(t, c.ID, w.sam))

		c, o = given("closed", "")
		_, err := w.Archive(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
		late(o)
		ends(o, courses.OrderRefunding, "course_closed")
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// TestInterruptedOrdersAreSettled has the provider lose questions and answers, and never
// call back.
func TestInterruptedOrdersAreSettled(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		settle := func() error {
			w.clock.add(10 * time.Minute)
			_, err := w.SettleOrders(t.Context())
			return err
		}
		pending := func(c courses.Course) courses.Order {
			t.Helper()
			page, err := w.Orders(t.Context(), w.sam, courses.OrderFilter{Course: c.Slug}, core.Page{})
			require.NoError(t, err)
			require.Len(t, page.Items, 1)
			return page.Items[0]
		}
		for name, lost := range map[string][2]error{"the question": {core.ErrUnavailable, nil}, "the answer": {nil, fmt.Errorf("a network")}} {
			c := w.paid(t, "Lost "+name)
			w.bank.away(lost[0], lost[1])
			_, err := w.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: c.Slug})
			require.ErrorIs(t, err, core.ErrUnavailable)
			o := pending(c)
			require.Equal(t, []any{courses.OrderPending, "", ""}, []any{o.Status, o.Payment, o.PayURL})
			require.Error(t, settle(), "a provider that is away changes nothing")
			require.Equal(t, o, pending(c))
			w.bank.away(nil, nil)
			require.NoError(t, settle())
			o = pending(c)
			require.NotEmpty(t, o.PayURL)
			_, err = w.bank.Settle(o.ID, true) // and it never calls back
			require.NoError(t, err)
			require.NoError(t, settle())
			require.Equal(t, courses.OrderPaid, pending(c).Status)
			require.Equal(t, courses.Active, w.status(t, c.ID, w.sam))
			charges, refunds := w.bank.charged(o.ID)
			require.Equal(t, [2]int{1, 0}, [2]int{charges, refunds})
		}
		c := w.paid(t, "Refused")
		w.bank.away(core.ErrInvalid, nil)
		_, err := w.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: c.Slug})
		require.ErrorIs(t, err, courses.ErrPaymentRefused)
		require.Equal(t, []any{courses.OrderExpired, "payment_refused"}, []any{pending(c).Status, pending(c).Code})
		w.bank.away(nil, nil)

		c = w.paid(t, "Failed")
		o := w.ordered(t, w.sam, c.Slug, "")
		_, err = w.bank.Settle(o.ID, false)
		require.NoError(t, err)
		require.NoError(t, settle())
		require.Equal(t, []any{courses.OrderExpired, "payment_failed"}, []any{pending(c).Status, pending(c).Code})

		c = w.paid(t, "Replaced")
		w.coupon(t, courses.NewCoupon{Code: "TEN", Percent: 10})
		first := w.ordered(t, w.sam, c.Slug, "")
		w.ordered(t, w.sam, c.Slug, "TEN")
		_, err = w.bank.Settle(first.ID, true) // of the page that was still open, and nobody hears of it
		require.NoError(t, err)
		require.NoError(t, settle())
		require.Equal(t, courses.OrderPaid, w.orderNow(t, first.ID).Status, "an order that was given up is watched")

		c = w.paid(t, "In the last minute")
		o = w.ordered(t, w.sam, c.Slug, "")
		w.clock.add(23 * time.Hour)
		_, err = w.bank.Settle(o.ID, true)
		require.NoError(t, err)
		w.clock.add(2 * time.Hour)
		require.NoError(t, settle())
		require.Equal(t, courses.OrderPaid, pending(c).Status, "the provider is asked once more before an order is given up")
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

func TestAnOrderThatWaitsIsLookedAtLessAndLess(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		o := w.ordered(t, w.sam, w.paid(t, "Go").Slug, "")
		for range 26 * 60 {
			w.clock.add(time.Minute)
			_, err := w.SettleOrders(t.Context())
			require.NoError(t, err)
		}
		require.Equal(t, courses.OrderExpired, w.orderNow(t, o.ID).Status)
		require.False(t, w.orderNow(t, o.ID).Watched, "nobody can pay it any more")
		require.Less(t, w.bank.count("find"), 25)
		require.Greater(t, w.bank.count("find"), 8)
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

// TestRandomPurchases does what buyers, admins, a provider and its callbacks may do in
// random orders, several at once, and compares the provider's ledger with what is stored.
func TestRandomPurchases(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		r := random(t)
		w.shelf(t)
		w.coupon(t, courses.NewCoupon{Code: "FEW", Percent: 25, Limit: 3, PerUser: 2})
		w.coupon(t, courses.NewCoupon{Code: "ALL", Percent: 100, PerUser: 1})
		people := w.students(t, 4)
		var list []courses.Course
		for i, capacity := range []int{0, 2} {
			list = append(list, w.paid(t, fmt.Sprint("Course ", i)))
			w.capacity(t, list[i], capacity)
		}
		rounds := 60
		if os.Getenv("USTAT_TEST_SCALE") != "" {
			rounds = 1500
		}
		var mail []letter // that was sent, and may come at any time
		for range rounds {
			type step func() error
			var steps []step
			for range 1 + r.IntN(3) {
				by, c := people[r.IntN(len(people))], list[r.IntN(len(list))]
				switch what := r.IntN(10); what {
				case 0, 1, 2:
					in := courses.NewOrder{Course: c.Slug, Coupon: []string{"", "", "FEW", "ALL"}[r.IntN(4)]}
					steps = append(steps, func() error { _, err := w.CreateOrder(t.Context(), by, in); return err })
				case 3, 4:
					if ledger := w.bank.Ledger(); len(ledger) > 0 {
						event, err := w.bank.Settle(ledger[r.IntN(len(ledger))].Order, r.IntN(4) > 0)
						require.NoError(t, err)
						for range r.IntN(3) { // never, once or twice
							mail = append(mail, w.bank.sealed(t, event))
						}
					}
				case 5, 6:
					if len(mail) > 0 {
						l := mail[r.IntN(len(mail))]
						steps = append(steps, func() error { return w.post(t, l) })
					}
				case 7:
					page, err := w.Orders(t.Context(), w.admin, courses.OrderFilter{Status: courses.OrderPaid}, core.Page{})
					require.NoError(t, err)
					if len(page.Items) > 0 {
						id := page.Items[r.IntN(len(page.Items))].ID
						steps = append(steps, func() error { _, err := w.RefundOrder(t.Context(), w.admin, id); return err })
					}
				case 8:
					steps = append(steps, func() error { _, err := w.Cancel(t.Context(), by, c.Slug, ""); return err })
				case 9:
					w.clock.add(time.Duration(r.IntN(100)) * time.Minute)
					w.bank.away(nil, nil)
					if r.IntN(4) == 0 {
						w.bank.away([]error{core.ErrUnavailable, nil}[r.IntN(2)], core.ErrUnavailable)
					}
					steps = append(steps, func() error { _, err := w.SettleOrders(t.Context()); return err })
				}
			}
			for _, err := range together(len(steps), func(i int) error { return steps[i]() }) {
				if err != nil {
					require.NotErrorIs(t, err, core.ErrInternal)
				}
			}
			require.NoError(t, w.backend.Verify(t.Context()))
		}
		w.bank.away(nil, nil)
		for range 4 {
			w.clock.add(25 * time.Hour)
			_, err := w.SettleOrders(t.Context())
			require.NoError(t, err)
		}
		w.balanced(t)
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// balanced compares the provider's ledger with the orders once all are settled: who was
// charged has what they paid for, or has the money back, and nobody else has either.
func (w *world) balanced(t testing.TB) {
	t.Helper()
	taken, orders, ledger := map[uuid.UUID]bool{}, 0, map[uuid.UUID]fake.Entry{}
	for _, e := range w.bank.Ledger() {
		ledger[e.Order] = e
	}
	page := core.Page{Limit: 100}
	for {
		got, err := w.Orders(t.Context(), w.admin, courses.OrderFilter{}, page)
		require.NoError(t, err)
		for _, o := range got.Items {
			orders++
			charges, refunds := ledger[o.ID].Charges, ledger[o.ID].Refunds
			require.LessOrEqual(t, charges, 1, "an order is charged once")
			require.NotContains(t, []courses.OrderStatus{courses.OrderPending, courses.OrderRefunding}, o.Status, "%+v", o)
			taken[o.ID] = o.Status == courses.OrderPaid
			want := 0
			if o.Status == courses.OrderPaid && o.Total.Minor > 0 {
				want = 1
			}
			require.Equal(t, want, charges-refunds, "the order is %s (%s), and was charged %d times and refunded %d", o.Status, o.Code, charges, refunds)
		}
		if page.Cursor = got.Next; page.Cursor == "" {
			break
		}
	}
	for _, by := range w.people {
		enrolled, err := w.backend.Courses.Enrollments(t.Context(), courses.EnrollmentQuery{User: by.UserID, Limit: 1000})
		require.NoError(t, err)
		for _, e := range enrolled {
			if e.Source != courses.SourcePurchase || !e.Status.Seated() {
				continue
			}
			l, err := w.Learner(t.Context(), e.Course, by.UserID)
			require.NoError(t, err)
			require.True(t, taken[l.Right.Order], "a seat that nobody paid for")
		}
	}
	t.Logf("%d orders", orders)
}
