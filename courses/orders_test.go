package courses_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/fake"
	"github.com/ustat/ustat/storage"
)

// paid makes a published course of ann with a price.
func (w *world) paid(t testing.TB, title string) courses.Course {
	t.Helper()
	return w.in(t, w.course(t, title), courses.Published)
}

func TestAnOrderIsPaidOnceAndEnrolls(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.paid(t, "Go")
		w.events(t)
		o := w.ordered(t, w.sam, c.Slug, "")
		require.Equal(t, []any{courses.OrderPending, c.ID, c.Slug, w.sam.UserID, "sam", c.Price, c.Price, "fake", "https://pay.example.org/fake/" + o.ID.String()},
			[]any{o.Status, o.Course, o.Slug, o.User, o.Username, o.Price, o.Total, o.Provider, o.PayURL})
		require.Equal(t, 24*time.Hour, o.ExpiresAt.Sub(o.CreatedAt))
		require.Equal(t, o, w.ordered(t, w.sam, c.Slug, ""), "who has a pending order gets that")
		require.Equal(t, 1, w.bank.count("create"))
		_, err := w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.ErrorIs(t, err, courses.ErrPaymentRequired)
		require.Equal(t, []string{courses.EventOrderCreated}, w.events(t))

		w.pay(t, o.ID)
		now := w.orderNow(t, o.ID)
		require.Equal(t, courses.OrderPaid, now.Status)
		require.False(t, now.PaidAt.IsZero())
		l, err := w.Learner(t.Context(), c.ID, w.sam.UserID)
		require.NoError(t, err)
		require.Equal(t, []any{courses.Active, courses.SourcePurchase, c.Price, true, o.ID},
			[]any{l.Enrollment.Status, l.Enrollment.Source, l.Enrollment.PricePaid, l.Entitled, l.Right.Order})
		require.EqualValues(t, 1, w.stats(t, c.Slug).Students)
		require.Equal(t, []string{courses.EventEnrolled, courses.EventOrderPaid}, w.events(t))

		for range 3 {
			w.pay(t, o.ID)
		}
		require.Equal(t, now, w.orderNow(t, o.ID))
		require.Empty(t, w.events(t))
		_, err = w.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: c.Slug})
		require.ErrorIs(t, err, courses.ErrEnrolled)
		_, err = w.Cancel(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		_, err = w.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: c.Slug})
		require.ErrorIs(t, err, courses.ErrEntitled)
		e, err := w.Enroll(t.Context(), w.sam, c.Slug, "")
		require.NoError(t, err)
		require.Equal(t, []any{courses.SourcePurchase, c.Price}, []any{e.Source, e.PricePaid}, "what is paid is not paid twice")
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

func TestWhoMayOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.paid(t, "Paid")
		free, draft, archived := w.free(t, "Free"), w.course(t, "Draft"), w.in(t, w.course(t, "Archived"), courses.Archived)
		full := w.paid(t, "Full")
		w.capacity(t, full, 1)
		w.pay(t, w.ordered(t, w.bob, full.Slug, "").ID)
		db := w.beside(t)
		before := w.money(t, db)
		for _, refused := range []struct {
			by   core.Actor
			in   courses.NewOrder
			want error
		}{
			{w.nobody, courses.NewOrder{Course: c.Slug}, core.ErrUnauthenticated},
			{core.Actor{UserID: -1, Role: core.Admin}, courses.NewOrder{Course: c.Slug}, core.ErrForbidden},
			{w.ann, courses.NewOrder{Course: c.Slug}, courses.ErrOwnCourse},
			{w.pam, courses.NewOrder{Course: c.Slug}, courses.ErrOwnCourse},
			{w.sam, courses.NewOrder{Course: "nothing"}, courses.ErrCourseNotFound},
			{w.sam, courses.NewOrder{}, core.ErrInvalid},
			{w.sam, courses.NewOrder{Course: "a\x00b"}, core.ErrInvalid},
			{w.sam, courses.NewOrder{Course: c.Slug, Coupon: strings.Repeat("x", 33)}, core.ErrInvalid},
			{w.sam, courses.NewOrder{Course: c.Slug, Provider: "none"}, core.ErrInvalid},
			{w.sam, courses.NewOrder{Course: draft.Slug}, courses.ErrCourseNotFound},
			{w.sam, courses.NewOrder{Course: archived.Slug}, courses.ErrCourseNotFound},
			{w.admin, courses.NewOrder{Course: draft.Slug}, courses.ErrNotOpen},
			{w.sam, courses.NewOrder{Course: free.Slug}, courses.ErrFree},
			{w.sam, courses.NewOrder{Course: full.Slug}, courses.ErrFull},
			{w.bob, courses.NewOrder{Course: full.Slug}, courses.ErrEnrolled},
			{w.sam, courses.NewOrder{Course: c.Slug, Coupon: "NONE"}, courses.ErrCoupon},
		} {
			_, err := w.CreateOrder(t.Context(), refused.by, refused.in)
			require.ErrorIs(t, err, refused.want, "%v orders %v", refused.by, refused.in)
		}
		require.Equal(t, before, w.money(t, db), "a refusal changes nothing")
		o := w.ordered(t, w.sam, c.Slug, "")
		for _, by := range []core.Actor{w.bob, w.ann, w.pam} {
			_, err := w.Order(t.Context(), by, o.ID)
			require.ErrorIs(t, err, courses.ErrOrderNotFound)
			_, err = w.RefundOrder(t.Context(), by, o.ID)
			require.ErrorIs(t, err, courses.ErrOrderNotFound)
			_, err = w.Orders(t.Context(), by, courses.OrderFilter{User: "sam"}, core.Page{})
			require.ErrorIs(t, err, core.ErrForbidden)
		}
		_, err := w.Order(t.Context(), w.nobody, o.ID)
		require.ErrorIs(t, err, core.ErrUnauthenticated)
		_, err = w.RefundOrder(t.Context(), w.sam, o.ID)
		require.ErrorIs(t, err, core.ErrForbidden)
		_, err = w.RefundOrder(t.Context(), w.admin, o.ID)
		require.ErrorIs(t, err, courses.ErrOrderState)
	})
}

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

func TestOrdersAreListedToTheirBuyersAndAdmins(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		var sams, all []uuid.UUID
		for _, title := range []string{"One", "Two", "Three"} {
			c := w.paid(t, title)
			for _, by := range []core.Actor{w.sam, w.bob} {
				o := w.ordered(t, by, c.Slug, "")
				if all = append([]uuid.UUID{o.ID}, all...); by == w.sam {
					sams = append([]uuid.UUID{o.ID}, sams...)
				}
			}
		}
		list := func(by core.Actor, f courses.OrderFilter) (ids []uuid.UUID) {
			page := core.Page{Limit: 2}
			for {
				got, err := w.Orders(t.Context(), by, f, page)
				require.NoError(t, err)
				for _, o := range got.Items {
					require.NotEmpty(t, o.Username)
					ids = append(ids, o.ID)
				}
				if page.Cursor = got.Next; page.Cursor == "" {
					return ids
				}
			}
		}
		require.Equal(t, sams, list(w.sam, courses.OrderFilter{}))
		require.Equal(t, sams, list(w.sam, courses.OrderFilter{User: "sam"}))
		require.Equal(t, all, list(w.admin, courses.OrderFilter{}))
		require.Equal(t, sams, list(w.admin, courses.OrderFilter{User: "sam", Status: courses.OrderPending}))
		require.Equal(t, sams[1:2], list(w.sam, courses.OrderFilter{Course: "two"}))
		require.Empty(t, list(w.admin, courses.OrderFilter{Status: courses.OrderPaid}))
		_, err := w.Orders(t.Context(), w.admin, courses.OrderFilter{User: "nobody", Course: "nothing", Status: "dancing"}, core.Page{})
		require.ElementsMatch(t, []string{"user", "course", "status"}, fields(t, err))
		first, err := w.Orders(t.Context(), w.sam, courses.OrderFilter{}, core.Page{Limit: 1})
		require.NoError(t, err)
		_, err = w.Orders(t.Context(), w.bob, courses.OrderFilter{}, core.Page{Cursor: first.Next})
		require.ErrorIs(t, err, core.ErrCursor, "a cursor is of its own list")
	})
}

func TestCouponsLowerPrices(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		other := w.paid(t, "Other")
		now := w.clock.Now()
		w.coupon(t, courses.NewCoupon{Code: "third", Percent: 33})
		w.coupon(t, courses.NewCoupon{Code: "ALL", Percent: 100})
		w.coupon(t, courses.NewCoupon{Code: "five-off", Amount: &core.Money{Minor: 500, Currency: "RUB"}})
		w.coupon(t, courses.NewCoupon{Code: "a_lot", Amount: &core.Money{Minor: 1e9, Currency: "RUB"}})
		w.coupon(t, courses.NewCoupon{Code: "USD", Amount: &core.Money{Minor: 500, Currency: "USD"}})
		w.coupon(t, courses.NewCoupon{Code: "OTHER", Percent: 5, Course: other.Slug})
		w.coupon(t, courses.NewCoupon{Code: "OFF", Percent: 5, Active: ptr(false)})
		w.coupon(t, courses.NewCoupon{Code: "EARLY", Percent: 5, StartsAt: now.Add(time.Hour).Format(time.RFC3339)})
		w.coupon(t, courses.NewCoupon{Code: "LATE", Percent: 5, EndsAt: now.Add(-time.Hour).Format(time.RFC3339)})
		w.coupon(t, courses.NewCoupon{Code: "ONE", Percent: 5, Limit: 1})
		w.coupon(t, courses.NewCoupon{Code: "each", Percent: 5, PerUser: 1})
		w.ordered(t, w.bob, other.Slug, "ONE")
		w.ordered(t, w.sam, other.Slug, "each")
		for code, why := range map[string]string{
			"NONE": "unknown", "USD": "other_currency", "OTHER": "other_course", "OFF": "inactive", "EARLY": "not_started", "LATE": "ended",
			"one": "used_up", "EACH": "used_by_user",
		} {
			c := w.paid(t, "For "+code)
			_, err := w.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: c.Slug, Coupon: code})
			require.ErrorIs(t, err, courses.ErrCoupon, code)
			require.Equal(t, why, err.(*core.Error).Violations[0].Code, code)
		}
		for _, try := range []struct {
			code         string
			price, total int64
		}{{"THIRD", 199900, 133933}, {"third", 1, 0}, {"third", 2, 1}, {"third", 1e12, 670000000000}, {"FIVE-off", 199900, 199400}, {"five-off", 500, 0}, {"A_LOT", 499, 0}, {"all", 1e12, 0}} {
			in := whole("Priced")
			in.Price.Minor = try.price
			c := w.in(t, w.filled(t, in), courses.Published)
			o := w.ordered(t, w.sam, c.Slug, try.code)
			require.Equal(t, core.Money{Minor: try.total, Currency: "RUB"}, o.Total, "%v", try)
			require.Equal(t, try.price, o.Price.Minor)
			if try.total > 0 {
				require.Equal(t, courses.OrderPending, o.Status)
				continue
			}
			require.Equal(t, []any{courses.OrderPaid, "", ""}, []any{o.Status, o.Provider, o.PayURL})
			require.Equal(t, courses.Active, w.status(t, c.ID, w.sam))
			charges, _ := w.bank.charged(o.ID)
			require.Zero(t, charges)
			o, err := w.RefundOrder(t.Context(), w.admin, o.ID)
			require.NoError(t, err)
			require.Equal(t, courses.OrderRefunded, o.Status, "nothing is to be given back")
			require.Equal(t, courses.Refunded, w.status(t, c.ID, w.sam))
		}
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

func TestAPendingOrderOnOtherTermsIsGivenUp(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.paid(t, "Go")
		w.coupon(t, courses.NewCoupon{Code: "TEN", Percent: 10, Limit: 1})
		plain := w.ordered(t, w.sam, c.Slug, "")
		cheaper := w.ordered(t, w.sam, c.Slug, "TEN")
		require.NotEqual(t, plain.ID, cheaper.ID)
		require.Equal(t, []any{courses.OrderExpired, "replaced"}, []any{w.orderNow(t, plain.ID).Status, w.orderNow(t, plain.ID).Code})
		require.Equal(t, cheaper, w.ordered(t, w.sam, c.Slug, "ten"), "the same terms")
		_, err := w.EditCoupon(t.Context(), w.admin, "TEN", courses.CouponEdit{Percent: ptr(20)})
		require.NoError(t, err)
		lower := w.ordered(t, w.sam, c.Slug, "TEN")
		require.NotEqual(t, cheaper.ID, lower.ID, "the coupon is another")
		w.price(t, c, 1000)
		cheaper = w.ordered(t, w.sam, c.Slug, "TEN")
		require.NotEqual(t, lower.ID, cheaper.ID, "the price is another")
		require.EqualValues(t, 800, cheaper.Total.Minor)
		elsewhere, err := w.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: c.Slug, Coupon: "TEN", Provider: "other"})
		require.NoError(t, err)
		require.Equal(t, "other", elsewhere.Provider)
		require.Equal(t, courses.OrderExpired, w.orderNow(t, cheaper.ID).Status, "the use of the coupon is the new order's")
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

func TestCouponsAreForAdmins(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.paid(t, "Go")
		in := courses.NewCoupon{Code: "Ten-Off", Percent: 10, Course: c.Slug, Limit: 5, PerUser: 1, StartsAt: "2026-01-01T03:00:00+03:00", EndsAt: "2027-01-01T00:00:00Z"}
		for by, want := range map[core.Actor]error{w.nobody: core.ErrUnauthenticated, w.sam: core.ErrForbidden, w.ann: core.ErrForbidden, w.pam: core.ErrForbidden} {
			_, create := w.CreateCoupon(t.Context(), by, in)
			_, edit := w.EditCoupon(t.Context(), by, "x", courses.CouponEdit{})
			_, get := w.Coupon(t.Context(), by, "x")
			_, list := w.Coupons(t.Context(), by, core.Page{})
			for _, err := range []error{create, edit, get, list, w.DeleteCoupon(t.Context(), by, "x")} {
				require.ErrorIs(t, err, want)
			}
		}
		made := w.coupon(t, in)
		require.Equal(t, courses.Coupon{
			Code: "Ten-Off", Percent: 10, Course: c.ID, Slug: c.Slug, Limit: 5, PerUser: 1, Active: true, Version: 1, CreatedAt: made.CreatedAt,
			StartsAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), EndsAt: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		}, made)
		_, err := w.CreateCoupon(t.Context(), w.admin, courses.NewCoupon{Code: "TEN-OFF", Percent: 1})
		require.ErrorIs(t, err, courses.ErrCouponTaken)
		for _, bad := range []struct {
			in     courses.NewCoupon
			fields []string
		}{
			{courses.NewCoupon{}, []string{"code", "code", "percent"}},
			{courses.NewCoupon{Code: "a b", Percent: 101}, []string{"percent", "code"}},
			{courses.NewCoupon{Code: "скидка", Percent: 1}, []string{"code"}},
			{courses.NewCoupon{Code: "both", Percent: 1, Amount: &core.Money{Minor: 1, Currency: "RUB"}}, []string{"amount"}},
			{courses.NewCoupon{Code: "zero", Amount: &core.Money{Currency: "RUB"}}, []string{"percent"}},
			{courses.NewCoupon{Code: "xxx", Amount: &core.Money{Minor: 1, Currency: "XX"}}, []string{"amount.currency"}},
			{courses.NewCoupon{Code: "xxx", Percent: 1, Course: "nothing", Limit: -1, PerUser: -1}, []string{"limit", "per_user", "course"}},
			{courses.NewCoupon{Code: "xxx", Percent: 1, StartsAt: "soon", EndsAt: "1969-01-01T00:00:00Z"}, []string{"starts_at", "ends_at"}},
			{courses.NewCoupon{Code: "xxx", Percent: 1, StartsAt: "2026-01-01T00:00:00Z", EndsAt: "2026-01-01T00:00:00Z"}, []string{"ends_at"}},
		} {
			_, err := w.CreateCoupon(t.Context(), w.admin, bad.in)
			require.Equal(t, bad.fields, fields(t, err), "%v", bad.in)
		}
		edited, err := w.EditCoupon(t.Context(), w.admin, "ten-off", courses.CouponEdit{
			Amount: &core.Money{Minor: 7, Currency: "RUB"}, Course: ptr(""), EndsAt: ptr(""), Active: ptr(false), IfVersion: 1,
		})
		require.NoError(t, err)
		want := made
		want.Percent, want.Amount, want.Course, want.Slug, want.EndsAt, want.Active, want.Version = 0, core.Money{Minor: 7, Currency: "RUB"}, 0, "", time.Time{}, false, 2
		require.Equal(t, want, edited)
		_, err = w.EditCoupon(t.Context(), w.admin, "ten-off", courses.CouponEdit{Limit: ptr(1), IfVersion: 1})
		require.ErrorIs(t, err, core.ErrVersion)
		_, err = w.EditCoupon(t.Context(), w.admin, "none", courses.CouponEdit{})
		require.ErrorIs(t, err, courses.ErrCouponNotFound)
		for _, err := range together(8, func(i int) error {
			_, err := w.EditCoupon(t.Context(), w.admin, "ten-off", courses.CouponEdit{Limit: ptr(i)})
			return err
		}) {
			require.NoError(t, err)
		}
		got, err := w.Coupon(t.Context(), w.admin, "TEN-OFF")
		require.NoError(t, err)
		require.EqualValues(t, 10, got.Version)
		w.coupon(t, courses.NewCoupon{Code: "aaa", Percent: 1})
		page, err := w.Coupons(t.Context(), w.admin, core.Page{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, "aaa", page.Items[0].Code)
		page, err = w.Coupons(t.Context(), w.admin, core.Page{Cursor: page.Next})
		require.NoError(t, err)
		require.Equal(t, "Ten-Off", page.Items[0].Code)
		require.NoError(t, w.DeleteCoupon(t.Context(), w.admin, "AAA"))
		require.ErrorIs(t, w.DeleteCoupon(t.Context(), w.admin, "AAA"), courses.ErrCouponNotFound)
		w.ordered(t, w.sam, c.Slug, "")
		_, err = w.EditCoupon(t.Context(), w.admin, "ten-off", courses.CouponEdit{Active: ptr(true), Percent: ptr(5)})
		require.NoError(t, err)
		w.ordered(t, w.sam, c.Slug, "TEN-OFF")
		require.ErrorIs(t, w.DeleteCoupon(t.Context(), w.admin, "Ten-off"), courses.ErrCouponInUse)
	})
}

// TestStatementsOfPurchasesAreFixed counts them, however many others there are.
func TestStatementsOfPurchasesAreFixed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.paid(t, "Go")
		w.coupon(t, courses.NewCoupon{Code: "TEN", Percent: 10})
		counts := map[string][]int{}
		count := func(name string, do func(ctx context.Context) error) {
			t.Helper()
			ctx, queries := storage.CountQueries(t.Context())
			require.NoError(t, do(ctx))
			counts[name] = append(counts[name], queries.Count())
		}
		for _, by := range w.students(t, 5) {
			var o courses.Order
			count("order", func(ctx context.Context) (err error) {
				o, err = w.CreateOrder(ctx, by, courses.NewOrder{Course: c.Slug, Coupon: "TEN", Key: "key"})
				return err
			})
			count("again", func(ctx context.Context) error {
				_, err := w.CreateOrder(ctx, by, courses.NewOrder{Course: c.Slug, Coupon: "TEN", Key: "key"})
				return err
			})
			l := w.bank.settled(t, o.ID, true)
			for _, name := range []string{"callback", "callback again"} {
				count(name, func(ctx context.Context) error { return w.PaymentCallback(ctx, "fake", l.header, l.body) })
			}
			count("get", func(ctx context.Context) error {
				_, err := w.Order(ctx, by, o.ID)
				return err
			})
			count("list", func(ctx context.Context) error {
				_, err := w.Orders(ctx, w.admin, courses.OrderFilter{}, core.Page{})
				return err
			})
			count("refund", func(ctx context.Context) error {
				_, err := w.RefundOrder(ctx, w.admin, o.ID)
				return err
			})
		}
		t.Log(counts)
		most := map[string]int{"order": 25, "again": 6, "callback": 15, "callback again": 6, "get": 2, "list": 2, "refund": 28}
		for name, n := range counts {
			require.Len(t, slices.Compact(slices.Clone(n)), 1, "%s: %v", name, n)
			require.LessOrEqual(t, n[0], most[name], name)
		}
	})
}

func TestOneHundredOrdersAtOnceAreOne(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		w.coupon(t, courses.NewCoupon{Code: "TEN", Percent: 10, Limit: 1})
		for name, key := range map[string]string{"with a key": "key", "without one": ""} {
			c := w.paid(t, "Course "+name)
			w.events(t)
			n := 100
			orders := make([]courses.Order, n)
			for _, err := range together(n, func(i int) (err error) {
				orders[i], err = w.CreateOrder(t.Context(), w.sam, courses.NewOrder{Course: c.Slug, Coupon: "TEN", Key: key})
				return err
			}) {
				require.NoError(t, err)
			}
			for _, o := range orders {
				require.Equal(t, orders[0], o, "all get the same answer")
			}
			require.Equal(t, []string{courses.EventOrderCreated}, w.events(t))
			require.Len(t, slices.DeleteFunc(w.bank.Ledger(), func(e fake.Entry) bool { return e.Charges > 0 }), 1)
			callback := w.bank.settled(t, orders[0].ID, true)
			for _, err := range together(n, func(int) error { return w.post(t, callback) }) {
				require.NoError(t, err)
			}
			require.Equal(t, []string{courses.EventEnrolled, courses.EventOrderPaid}, w.events(t))
			require.EqualValues(t, 1, w.stats(t, c.Slug).Students)
			answers := make([]courses.Order, n)
			for _, err := range together(n, func(i int) (err error) {
				answers[i], err = w.RefundOrder(t.Context(), w.admin, orders[0].ID)
				return err
			}) {
				require.NoError(t, err)
			}
			charges, refunds := w.bank.charged(orders[0].ID)
			require.Equal(t, [2]int{1, 1}, [2]int{charges, refunds})
			require.Equal(t, []string{courses.EventRefunded, courses.EventOrderRefunded}, w.events(t))
			require.Zero(t, w.stats(t, c.Slug).Students)
		}
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}
