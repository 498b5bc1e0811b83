package courses_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
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

// spoiled is a provider that answers what its spoil makes of an answer.
type spoiled struct {
	*bank
	spoil func(p *courses.Payment)
}

func (s *spoiled) Create(ctx context.Context, in courses.PaymentRequest) (courses.Payment, error) {
	p, err := s.bank.Create(ctx, in)
	s.spoil(&p)
	return p, err
}

func (s *spoiled) Find(ctx context.Context, order uuid.UUID) (courses.Payment, error) {
	p, err := s.bank.Find(ctx, order)
	s.spoil(&p)
	return p, err
}

func TestAnAnswerThatCannotBeIsTheProvidersFault(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		theirs := w.ordered(t, w.bob, w.paid(t, "Theirs").Slug, "")
		c := w.paid(t, "Go")
		for name, spoil := range map[string]func(p *courses.Payment){
			"of another amount":        func(p *courses.Payment) { p.Amount.Minor++ },
			"of another currency":      func(p *courses.Payment) { p.Amount.Currency = "USD" },
			"of no order":              func(p *courses.Payment) { p.Order = uuid.Nil },
			"of another order":         func(p *courses.Payment) { p.Order, p.State = theirs.ID, courses.PaymentPaid },
			"without an id":            func(p *courses.Payment) { p.ID = "" },
			"with an id of 256 bytes":  func(p *courses.Payment) { p.ID = strings.Repeat("x", 256) },
			"with a NUL in its id":     func(p *courses.Payment) { p.ID = "a\x00" },
			"in no state":              func(p *courses.Payment) { p.State = "gone" },
			"with a NUL in its URL":    func(p *courses.Payment) { p.URL = "https://pay.example.org/\x00" },
			"with a URL of 2049 bytes": func(p *courses.Payment) { p.URL = "https://pay.example.org/" + strings.Repeat("x", 2025) },
			"with a script as its URL": func(p *courses.Payment) { p.URL = "javascript:alert(1)" },
			"with a path as its URL":   func(p *courses.Payment) { p.URL = "/pay" },
		} {
			provider := &spoiled{newBank(t, "spoiled", w.clock), spoil}
			s := w.serviceWith(t, courses.Config{Payments: []courses.Payments{provider, w.bank}})
			_, err := s.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: c.Slug, Provider: "spoiled"})
			require.ErrorIs(t, err, core.ErrUnavailable, name)
			require.NotErrorIs(t, err, core.ErrInvalid, name)
			require.Equal(t, 1, provider.count("create"), name)
			page, err := w.Orders(t.Context(), w.sam, courses.OrderFilter{Status: courses.OrderPending}, core.Page{})
			require.NoError(t, err)
			require.Len(t, page.Items, 1)
			o := page.Items[0]
			require.Empty(t, o.Payment+o.PayURL, name)

			w.clock.add(2 * time.Minute)
			_, err = s.SettleOrders(t.Context())
			require.ErrorIs(t, err, core.ErrUnavailable, name)
			require.ErrorContains(t, err, o.ID.String(), name)
			require.Positive(t, provider.count("find"), name)
			require.Equal(t, o, w.orderNow(t, o.ID), name)
			require.Equal(t, courses.OrderPending, w.orderNow(t, theirs.ID).Status, name)

			provider.spoil = func(*courses.Payment) {}
			_, err = s.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: c.Slug, Provider: "spoiled"})
			require.NoError(t, err, name)
			w.clock.add(30 * time.Minute)
			_, err = provider.Settle(o.ID, false)
			require.NoError(t, err)
			_, err = s.SettleOrders(t.Context())
			require.NoError(t, err, name)
			require.Equal(t, courses.OrderExpired, w.orderNow(t, o.ID).Status, name)
		}
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// deaf is a provider that does not obey its context: its calls end when it is closed.
type deaf struct {
	*bank
	closed chan struct{}
}

func (d *deaf) Create(ctx context.Context, in courses.PaymentRequest) (courses.Payment, error) {
	if _, err := d.call(ctx, "create"); err != nil {
		return courses.Payment{}, err
	}
	<-d.closed
	return courses.Payment{}, core.ErrUnavailable
}

func (d *deaf) Find(context.Context, uuid.UUID) (courses.Payment, error) { panic("it is broken") }

func TestAProviderThatDoesNotObeyItsContextHangsNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.paid(t, "Go")
		provider := &deaf{newBank(t, "deaf", w.clock), make(chan struct{})}
		defer close(provider.closed)
		s := w.serviceWith(t, courses.Config{Payments: []courses.Payments{provider, w.bank}})
		begun := time.Now()
		for _, err := range together(40, func(int) error { // more than are open at once
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_, err := s.CreateOrder(ctx, w.sam, courses.NewOrder{Course: c.Slug})
			return err
		}) {
			require.Error(t, err)
		}
		require.Less(t, time.Since(begun), 8*time.Second)
		require.Equal(t, 32, provider.count("create"), "no more are open at once")
		_, err := s.CreateOrder(t.Context(), w.bob, courses.NewOrder{Course: c.Slug, Provider: "fake"})
		require.NoError(t, err, "another provider is not kept by it")
		w.clock.add(2 * time.Minute)
		_, err = s.SettleOrders(t.Context())
		require.ErrorIs(t, err, core.ErrUnavailable, "a panic ends the call, not the process")
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// TestCouponsAreLockedInOneOrder replaces orders with one coupon by orders with the
// other, and the other way round, at once.
func TestCouponsAreLockedInOneOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		codes := []string{"AAA", "bbb"}
		for _, code := range codes {
			w.coupon(t, courses.NewCoupon{Code: code, Percent: 10})
		}
		slugs := []string{w.paid(t, "One").Slug, w.paid(t, "Two").Slug}
		var locked lockedCoupons
		w.backend.Courses = couponsStore{w.backend.Courses, &locked}
		s := w.serviceWith(t, courses.Config{Payments: []courses.Payments{w.bank}})
		for round := range 10 {
			for _, err := range together(2, func(i int) error {
				_, err := s.CreateOrder(context.Background(), w.sam, courses.NewOrder{Course: slugs[i], Coupon: codes[(i+round)%2]})
				return err
			}) {
				require.NoError(t, err)
			}
		}
		require.NotEmpty(t, locked.swaps)
		for _, swap := range locked.swaps {
			require.True(t, slices.IsSorted(swap), "%q", swap)
		}
		for _, code := range codes {
			c, err := w.Coupon(t.Context(), w.admin, code)
			require.NoError(t, err)
			require.Equal(t, 1, c.Used)
		}
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// lockedCoupons are the folded codes that transactions have locked, in order, of those
// that have locked more than one.
type lockedCoupons struct {
	mu    sync.Mutex
	swaps [][]string
}

// couponsStore writes down which coupons its transactions lock.
type couponsStore struct {
	courses.Store
	locked *lockedCoupons
}

func (s couponsStore) Update(ctx context.Context, fn func(ctx context.Context, tx courses.Tx) error) error {
	return s.Store.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		seen := &couponsTx{Tx: tx}
		err := fn(ctx, seen)
		s.locked.mu.Lock()
		defer s.locked.mu.Unlock()
		if len(seen.codes) > 1 {
			s.locked.swaps = append(s.locked.swaps, seen.codes)
		}
		return err
	})
}

type couponsTx struct {
	courses.Tx
	codes []string
}

func (t *couponsTx) UseCoupon(ctx context.Context, code string, user core.UserID, at time.Time) (bool, error) {
	t.codes = append(t.codes, core.Fold(code))
	return t.Tx.UseCoupon(ctx, code, user, at)
}

func (t *couponsTx) ReleaseCoupon(ctx context.Context, code string, user core.UserID) error {
	t.codes = append(t.codes, core.Fold(code))
	return t.Tx.ReleaseCoupon(ctx, code, user)
}
