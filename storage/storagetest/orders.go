package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// money is an amount of roubles.
func money(minor int64) core.Money { return core.Money{Minor: minor, Currency: "RUB"} }

// orderID is the nth id in their order.
func orderID(n int) uuid.UUID {
	id := uuid.MustParse("01980000-0000-7000-8000-000000000000")
	id[14], id[15] = byte(n>>8), byte(n)
	return id
}

// newOrder returns a pending order with the nth id.
func newOrder(n int, course courses.Course, user core.UserID) courses.Order {
	return courses.Order{
		ID: orderID(n), Course: course.ID, Slug: course.Slug, User: user, Price: money(1000), Total: money(900), Status: courses.OrderPending,
		CreatedAt: day, ExpiresAt: day.Add(24 * time.Hour), Watched: true, Version: 1,
	}
}

// insertOrder adds an order that must be new.
func insertOrder(t testing.TB, b *storage.Backend, o courses.Order) courses.Order {
	t.Helper()
	var stored courses.Order
	write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
		var added bool
		stored, added, err = tx.InsertOrder(ctx, o)
		if err == nil && !added {
			err = errors.New("another order is in its place")
		}
		return err
	})
	return stored
}

func orderNow(t testing.TB, b *storage.Backend, id uuid.UUID) courses.Order {
	t.Helper()
	o, err := b.Courses.OrderByID(timeout(t), id)
	require.NoError(t, err)
	return o
}

// oneCourse makes a course to be bought.
func oneCourse(t testing.TB, b *storage.Backend) courses.Course {
	t.Helper()
	teacher := insertUsers(t, b, person("teacher"))[0]
	return insertCourses(t, b, course("one", teacher.ID))[0]
}

func newCoupon(code string) courses.Coupon {
	return courses.Coupon{Code: code, Percent: 10, Active: true, CreatedAt: day, Version: 1}
}

func insertCoupon(t testing.TB, b *storage.Backend, c courses.Coupon) (stored courses.Coupon) {
	t.Helper()
	write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
		stored, err = tx.InsertCoupon(ctx, c)
		return err
	})
	return stored
}

func couponNow(t testing.TB, b *storage.Backend, code string) courses.Coupon {
	t.Helper()
	c, err := b.Courses.CouponByCode(timeout(t), code)
	require.NoError(t, err)
	return c
}

func (s suite) orders() {
	s.run("InsertOrder adds an order and OrderByID returns it, or is ErrOrderNotFound", func(t *testing.T, b *storage.Backend) {
		c := oneCourse(t, b)
		insertCoupon(t, b, newCoupon("TEN"))
		plain, full := newOrder(1, c, 7), newOrder(2, c, 8)
		full.Coupon, full.Provider, full.Payment, full.PayURL, full.Code = "TEN", "fake", awkward[1], "https://pay.example.org/?a=1&b=ё", awkward[0]
		full.Status, full.PaidAt, full.EndedAt = courses.OrderRefunded, day.Add(time.Hour), day.Add(2*time.Hour)
		full.Price, full.Total = core.Money{Minor: 1 << 60, Currency: "KZT"}, core.Money{Minor: 0, Currency: "KZT"}
		given := full
		given.CreatedAt, given.PaidAt, given.EndedAt, given.ExpiresAt = zoned(full.CreatedAt), zoned(full.PaidAt), zoned(full.EndedAt), zoned(full.ExpiresAt)
		require.Equal(t, plain, insertOrder(t, b, plain))
		require.Equal(t, full, insertOrder(t, b, given))
		require.Equal(t, plain, orderNow(t, b, plain.ID))
		got := orderNow(t, b, full.ID)
		require.Equal(t, full, got)
		utc(t, day, got.CreatedAt)
		utc(t, day.Add(time.Hour), got.PaidAt)
		_, err := b.Courses.OrderByID(timeout(t), orderID(404))
		require.ErrorIs(t, err, courses.ErrOrderNotFound)
		bad := newOrder(3, c, 9)
		bad.Code = "a\x00b"
		require.ErrorIs(t, writing(t, b, func(ctx context.Context, tx courses.Tx) error {
			_, _, err := tx.InsertOrder(ctx, bad)
			return err
		}), core.ErrInvalid)
	})
	s.run("where a user has a pending order of a course InsertOrder returns that and false", func(t *testing.T, b *storage.Backend) {
		c := oneCourse(t, b)
		first := insertOrder(t, b, newOrder(1, c, 7))
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			got, added, err := tx.InsertOrder(ctx, newOrder(2, c, 7))
			require.False(t, added)
			require.Equal(t, first, got)
			return err
		})
		insertOrder(t, b, newOrder(3, c, 8)) // of another user
		ended := first
		ended.Status = courses.OrderExpired
		write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.UpdateOrder(ctx, ended) })
		insertOrder(t, b, newOrder(4, c, 7))
		const callers = 8
		added := make([]bool, callers)
		ids := make([]uuid.UUID, callers)
		require.NoError(t, errors.Join(atOnce(b, callers, func(ctx context.Context, tx courses.Tx, i int) error {
			got, ok, err := tx.InsertOrder(ctx, newOrder(10+i, c, 9))
			added[i], ids[i] = ok, got.ID
			return err
		})...))
		count := 0
		for i := range callers {
			require.Equal(t, ids[0], ids[i], "all get the same order")
			if added[i] {
				count++
			}
		}
		require.Equal(t, 1, count, "one of those who come at once adds it")
	})
	s.run("LockBuyer counts the watched orders of a user that are not being refunded, and those who ask at once take turns", func(t *testing.T, b *storage.Backend) {
		teacher := insertUsers(t, b, person("teacher"))[0]
		const callers, most = 8, 5
		list := make([]courses.Course, callers)
		for i := range list {
			list[i] = insertCourses(t, b, course(fmt.Sprint("course-", i), teacher.ID))[0]
		}
		for i, status := range courses.OrderStatuses {
			o := newOrder(i, list[0], 7)
			o.Status, o.Watched = status, status != courses.OrderPaid && status != courses.OrderRefunded
			insertOrder(t, b, o)
		}
		insertOrder(t, b, newOrder(100, list[0], 8)) // another's
		require.NoError(t, errors.Join(atOnce(b, callers, func(ctx context.Context, tx courses.Tx, i int) error {
			open, err := tx.LockBuyer(ctx, 7)
			if err != nil || i == 0 || open >= most {
				return err
			}
			_, _, err = tx.InsertOrder(ctx, newOrder(10+i, list[i], 7))
			return err
		})...))
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			for user, want := range map[core.UserID]int{7: most, 8: 1, 9: 0} {
				open, err := tx.LockBuyer(ctx, user)
				if err != nil {
					return err
				}
				require.Equal(t, want, open)
			}
			return nil
		})
	})
	s.run("UpdateOrder writes all of an order but what it is about, and a missing one is ErrOrderNotFound", func(t *testing.T, b *storage.Backend) {
		c := oneCourse(t, b)
		want := insertOrder(t, b, newOrder(1, c, 7))
		other := insertOrder(t, b, newOrder(2, c, 8))
		want.Status, want.Provider, want.Payment, want.PayURL, want.Code = courses.OrderRefunding, "http", "p-1", "https://pay.example.org/1", "by_admin"
		want.Watched = false
		want.PaidAt, want.EndedAt, want.ExpiresAt = day.Add(time.Hour), day.Add(2*time.Hour), day.Add(3*time.Hour)
		changed := want
		changed.Course, changed.User, changed.Price, changed.Total, changed.Coupon, changed.CreatedAt, changed.Version = 404, 404, money(1), money(1), "X", day.Add(time.Hour), 99
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			missing := newOrder(404, c, 7)
			_, lost := tx.OrderForUpdate(ctx, missing.ID)
			return errors.Join(expect(lost, courses.ErrOrderNotFound), expect(tx.UpdateOrder(ctx, missing), courses.ErrOrderNotFound), tx.UpdateOrder(ctx, changed))
		})
		want.Version = 2
		require.Equal(t, want, orderNow(t, b, want.ID))
		require.Equal(t, other, orderNow(t, b, other.ID), "another order")
	})
	s.run("OrderForUpdate keeps others from changing an order until the end of the transaction", func(t *testing.T, b *storage.Backend) {
		o := insertOrder(t, b, newOrder(1, oneCourse(t, b), 7))
		const writers = 8
		require.NoError(t, errors.Join(atOnce(b, writers, func(ctx context.Context, tx courses.Tx, _ int) error {
			got, err := tx.OrderForUpdate(ctx, o.ID)
			if err != nil {
				return err
			}
			got.Code += "x"
			return tx.UpdateOrder(ctx, got)
		})...))
		got := orderNow(t, b, o.ID)
		require.Len(t, got.Code, writers, "a change was lost")
		require.EqualValues(t, writers+1, got.Version)
	})
	s.run("Orders returns up to q.Limit orders behind q.After, the newest first, by one statement", s.orderLists)
	s.run("StrandedOrders returns the paid orders of those who wait for a seat of an archived course, the oldest first, by one statement", func(t *testing.T, b *storage.Backend) {
		teacher := insertUsers(t, b, person("teacher"))[0]
		archived, open := course("archived", teacher.ID), course("open", teacher.ID)
		archived.Status = courses.Archived
		both := insertCourses(t, b, archived, open)
		n := 0
		buy := func(c courses.Course, enrolled courses.EnrollmentStatus, status courses.OrderStatus) {
			n++
			user := core.UserID(n)
			o := newOrder(100-n, c, user)
			o.Status, o.Watched = status, status == courses.OrderPending
			o = insertOrder(t, b, o)
			e := enrollment(c, user)
			e.Status, e.Source = enrolled, courses.SourcePurchase
			enroll(t, b, e)
			write(t, b, func(ctx context.Context, tx courses.Tx) error {
				return tx.SetEntitlement(ctx, courses.Entitlement{Course: c.ID, User: user, Source: courses.SourcePurchase, Order: o.ID, PricePaid: o.Total, At: day})
			})
		}
		for range 3 {
			buy(both[0], courses.Waiting, courses.OrderPaid)
		}
		buy(both[0], courses.Active, courses.OrderPaid)
		buy(both[0], courses.Cancelled, courses.OrderPaid)
		buy(both[0], courses.Waiting, courses.OrderRefunding)
		buy(both[1], courses.Waiting, courses.OrderPaid)
		for limit, want := range map[int][]uuid.UUID{10: {orderID(97), orderID(98), orderID(99)}, 2: {orderID(97), orderID(98)}} {
			ctx, queries := storage.CountQueries(timeout(t))
			got, err := b.Courses.StrandedOrders(ctx, limit)
			require.NoError(t, err)
			require.Equal(t, 1, queries.Count())
			ids := []uuid.UUID{}
			for _, o := range got {
				ids = append(ids, o.ID)
			}
			require.Equal(t, want, ids)
		}
	})
	s.run("UnsettledOrders returns what is watched and was not looked at since, the oldest first", func(t *testing.T, b *storage.Backend) {
		c := oneCourse(t, b)
		for i, status := range []courses.OrderStatus{courses.OrderPending, courses.OrderPaid, courses.OrderExpired, courses.OrderRefunding, courses.OrderRefunded, courses.OrderExpired} {
			o := newOrder(i, c, core.UserID(i+1))
			o.Watched = i == 0 || i == 3 || i == 5
			o.Status, o.CreatedAt = status, day.Add(-time.Duration(i)*time.Minute)
			insertOrder(t, b, o)
		}
		unsettled := func(before time.Time, limit int, want ...int) {
			t.Helper()
			ctx, queries := storage.CountQueries(timeout(t))
			got, err := b.Courses.UnsettledOrders(ctx, before, limit)
			require.NoError(t, err)
			require.Equal(t, 1, queries.Count())
			ids := []int{}
			for _, o := range got {
				ids = append(ids, int(o.ID[15]))
			}
			require.Equal(t, append([]int{}, want...), ids)
		}
		unsettled(day.Add(-time.Hour), 10)
		unsettled(day, 10, 5, 3)
		unsettled(day.Add(time.Minute), 10, 5, 3, 0)
		unsettled(day.Add(time.Minute), 2, 5, 3)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return errors.Join(tx.TouchOrders(ctx, zoned(day.Add(time.Hour)), orderID(5), orderID(4), orderID(404)), tx.TouchOrders(ctx, day))
		})
		unsettled(day.Add(time.Minute), 10, 3, 0)
		unsettled(day.Add(2*time.Hour), 10, 3, 0, 5)
		require.EqualValues(t, 1, orderNow(t, b, orderID(5)).Version, "a look changes nothing")
		require.False(t, orderNow(t, b, orderID(4)).Watched, "a look does not make an order watched")
	})
	s.run("AddPaymentEvent says of an event of a provider once that it is new", func(t *testing.T, b *storage.Backend) {
		o := insertOrder(t, b, newOrder(1, oneCourse(t, b), 7))
		news := make([]bool, 8)
		require.NoError(t, errors.Join(atOnce(b, len(news), func(ctx context.Context, tx courses.Tx, i int) (err error) {
			news[i], err = tx.AddPaymentEvent(ctx, "fake", "event", o.ID, day)
			return err
		})...))
		require.Equal(t, 1, strings.Count(fmt.Sprint(news), "true"))
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			for _, other := range [][2]string{{"fake", "Event"}, {"other", "event"}} {
				added, err := tx.AddPaymentEvent(ctx, other[0], other[1], o.ID, day)
				if err != nil || !added {
					return fmt.Errorf("%v is new: %w", other, err)
				}
			}
			return nil
		})
	})
	s.run("SetEntitlement adds or replaces a right, and DeleteEntitlement says whether there was one", func(t *testing.T, b *storage.Backend) {
		c := oneCourse(t, b)
		o := insertOrder(t, b, newOrder(1, c, 7))
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			has := func(want courses.Entitlement) error {
				l, err := tx.LearnerOf(ctx, c.ID, 7)
				require.Equal(t, courses.Learner{User: 7, Entitled: want.User != 0, Right: want}, l)
				return err
			}
			bought := courses.Entitlement{Course: c.ID, User: 7, Source: courses.SourcePurchase, Order: o.ID, PricePaid: o.Total, At: day}
			given := courses.Entitlement{Course: c.ID, User: 7, Source: courses.SourceGrant, PricePaid: money(0), By: 1, At: day}
			other := given
			other.User = 8
			if err := errors.Join(tx.SetEntitlement(ctx, other), has(courses.Entitlement{}), tx.SetEntitlement(ctx, bought), has(bought), tx.SetEntitlement(ctx, given), has(given)); err != nil {
				return err
			}
			for _, want := range []bool{true, false} {
				was, err := tx.DeleteEntitlement(ctx, c.ID, 7)
				if err != nil || was != want {
					return fmt.Errorf("there was one: %v, not %v: %w", was, want, err)
				}
			}
			left, err := tx.LearnerOf(ctx, c.ID, 8)
			require.Equal(t, courses.Learner{User: 8, Entitled: true, Right: other}, left, "another user's")
			return errors.Join(err, has(courses.Entitlement{}))
		})
	})
}

// orderLists compares Orders with a model.
func (s suite) orderLists(t *testing.T, b *storage.Backend) {
	r := random(t)
	teacher := insertUsers(t, b, person("teacher"))[0]
	list := insertCourses(t, b, course("one", teacher.ID), course("two", teacher.ID), course("three", teacher.ID))
	var all []courses.Order
	pending := map[string]bool{}
	for i := range size(400, 90) {
		o := newOrder(i, list[r.IntN(len(list))], core.UserID(1+r.IntN(4)))
		o.Status = courses.OrderStatuses[r.IntN(len(courses.OrderStatuses))]
		if key := fmt.Sprint(o.Course, o.User); o.Status == courses.OrderPending {
			if pending[key] {
				continue
			}
			pending[key] = true
		}
		all = append(all, insertOrder(t, b, o))
	}
	slices.Reverse(all)
	for range size(60, 20) {
		q := courses.OrderQuery{Limit: 1 + r.IntN(9)}
		if r.IntN(2) == 0 {
			q.User = core.UserID(1 + r.IntN(5))
		}
		if r.IntN(3) == 0 {
			q.Course = list[r.IntN(len(list))].ID
		}
		if r.IntN(3) == 0 {
			q.Status = courses.OrderStatuses[r.IntN(len(courses.OrderStatuses))]
		}
		want := slices.DeleteFunc(slices.Clone(all), func(o courses.Order) bool {
			return q.User != 0 && o.User != q.User || q.Course != 0 && o.Course != q.Course || q.Status != "" && o.Status != q.Status
		})
		var got []courses.Order
		for {
			ctx, queries := storage.CountQueries(timeout(t))
			page, err := b.Courses.Orders(ctx, q)
			require.NoError(t, err)
			require.Equal(t, 1, queries.Count())
			require.LessOrEqual(t, len(page), q.Limit)
			if got = append(got, page...); len(page) < q.Limit {
				break
			}
			q.After = page[len(page)-1].ID
		}
		require.Equal(t, append([]courses.Order{}, want...), append([]courses.Order{}, got...))
	}
}

func (s suite) coupons() {
	s.run("a coupon comes back whole, is found without regard to case, and a taken code is ErrCouponTaken", func(t *testing.T, b *storage.Backend) {
		c := oneCourse(t, b)
		plain := newCoupon("Ten-10")
		require.Equal(t, plain, insertCoupon(t, b, plain))
		full := courses.Coupon{
			Code: "SPRING_26", Amount: money(1 << 40), Course: c.ID, Slug: c.Slug, Limit: 1 << 40, PerUser: 3,
			StartsAt: day, EndsAt: day.Add(time.Hour), CreatedAt: day, Version: 1,
		}
		given := full
		given.StartsAt, given.EndsAt, given.Used, given.Version = zoned(day), zoned(full.EndsAt), 9, 9
		require.Equal(t, full, insertCoupon(t, b, given))
		for _, code := range []string{"Ten-10", "ten-10", "TEN-10"} {
			require.Equal(t, plain, couponNow(t, b, code))
		}
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.InsertCoupon(ctx, newCoupon("tEn-10"))
			return expect(err, courses.ErrCouponTaken)
		})
		for _, code := range []string{"none", "", "a\x00b"} {
			_, err := b.Courses.CouponByCode(timeout(t), code)
			require.ErrorIs(t, err, courses.ErrCouponNotFound)
		}
	})
	s.run("UpdateCoupon writes all but the code and Used, or is ErrCouponNotFound, or ErrVersion for another version", func(t *testing.T, b *storage.Backend) {
		c := oneCourse(t, b)
		insertCoupon(t, b, newCoupon("TEN"))
		other := insertCoupon(t, b, newCoupon("OTHER"))
		want := courses.Coupon{
			Code: "TEN", Amount: money(5), Course: c.ID, Slug: c.Slug, Limit: 3, PerUser: 2, Used: 1,
			StartsAt: day.Add(time.Hour), EndsAt: day.Add(2 * time.Hour), CreatedAt: day, Version: 2,
		}
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			if ok, err := tx.UseCoupon(ctx, "ten", 7, day); err != nil || !ok {
				return fmt.Errorf("it was not used: %w", err)
			}
			changed := want
			changed.Code, changed.Used, changed.CreatedAt, changed.Version = "ten", 40, day.Add(time.Hour), 1
			return errors.Join(tx.UpdateCoupon(ctx, changed), expect(tx.UpdateCoupon(ctx, changed), core.ErrVersion), expect(tx.UpdateCoupon(ctx, newCoupon("none")), courses.ErrCouponNotFound))
		})
		require.Equal(t, want, couponNow(t, b, "TEN"))
		require.Equal(t, other, couponNow(t, b, "OTHER"), "another coupon")
	})
	s.run("ReleaseCoupon gives back what the user has taken, and nothing of others", func(t *testing.T, b *storage.Backend) {
		insertCoupon(t, b, newCoupon("TEN"))
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			for _, user := range []core.UserID{7, 7, 8} {
				if ok, err := tx.UseCoupon(ctx, "TEN", user, day); err != nil || !ok {
					return fmt.Errorf("it was not used: %w", err)
				}
			}
			for _, step := range []struct {
				user core.UserID
				left int
			}{{9, 3}, {7, 2}, {7, 1}, {7, 1}, {9, 1}, {8, 0}, {8, 0}} {
				err := tx.ReleaseCoupon(ctx, "ten", step.user)
				now, readErr := tx.CouponByCode(ctx, "TEN")
				if err := errors.Join(err, readErr); err != nil || now.Used != step.left {
					return fmt.Errorf("%d are used after %v: %w", now.Used, step, err)
				}
			}
			return nil
		})
	})
	s.run("Coupons returns up to limit coupons whose folded code is behind after, by it", func(t *testing.T, b *storage.Backend) {
		for _, code := range []string{"bb", "AA", "Cc", "b-1"} {
			insertCoupon(t, b, newCoupon(code))
		}
		codes := func(after string, limit int) (out []string) {
			found, err := b.Courses.Coupons(timeout(t), after, limit)
			require.NoError(t, err)
			for _, c := range found {
				out = append(out, c.Code)
			}
			return out
		}
		require.Equal(t, []string{"AA", "b-1", "bb", "Cc"}, codes("", 10))
		require.Equal(t, []string{"b-1", "bb"}, codes("aa", 2))
		require.Empty(t, codes("cc", 2))
	})
	s.run("DeleteCoupon removes a coupon that no order names, or is ErrCouponInUse", func(t *testing.T, b *storage.Backend) {
		c := oneCourse(t, b)
		insertCoupon(t, b, newCoupon("FREE"))
		insertCoupon(t, b, newCoupon("NAMED"))
		o := newOrder(1, c, 7)
		o.Coupon, o.Status = "NAMED", courses.OrderExpired
		insertOrder(t, b, o)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			if _, err := tx.UseCoupon(ctx, "FREE", 7, day); err != nil {
				return err
			}
			return errors.Join(expect(tx.DeleteCoupon(ctx, "named"), courses.ErrCouponInUse), tx.DeleteCoupon(ctx, "free"), expect(tx.DeleteCoupon(ctx, "free"), courses.ErrCouponNotFound))
		})
		_, err := b.Courses.CouponByCode(timeout(t), "FREE")
		require.ErrorIs(t, err, courses.ErrCouponNotFound)
		couponNow(t, b, "NAMED")
	})
	s.run("UseCoupon refuses what is not there, not active, or not valid at a time", func(t *testing.T, b *storage.Backend) {
		off, bounded := newCoupon("OFF"), newCoupon("BOUNDED")
		off.Active = false
		bounded.StartsAt, bounded.EndsAt = day, day.Add(time.Hour)
		insertCoupon(t, b, off)
		insertCoupon(t, b, bounded)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			for _, try := range []struct {
				code string
				at   time.Time
				want bool
			}{
				{"none", day, false},
				{"a\x00b", day, false},
				{"OFF", day, false},
				{"BOUNDED", day.Add(-time.Microsecond), false},
				{"BOUNDED", day, true},
				{"bounded", day.Add(time.Hour - time.Microsecond), true},
				{"BOUNDED", day.Add(time.Hour), false},
			} {
				ok, err := tx.UseCoupon(ctx, try.code, 7, zoned(try.at))
				if err != nil || ok != try.want {
					return fmt.Errorf("%v: %v: %w", try, ok, err)
				}
			}
			return nil
		})
		require.Equal(t, 2, couponNow(t, b, "BOUNDED").Used)
		require.EqualValues(t, 1, couponNow(t, b, "BOUNDED").Version, "a use is no change")
	})
	s.run("of those who use a coupon at once no more succeed than its limit and the user's allow", func(t *testing.T, b *storage.Backend) {
		r := random(t)
		for round := range size(20, 4) {
			s.couponRound(t, b, r, round)
		}
	})
}

// couponRound lets users take and give back uses of one coupon at once.
func (s suite) couponRound(t *testing.T, b *storage.Backend, r *rand.Rand, round int) {
	c := newCoupon(fmt.Sprintf("CODE-%d", round))
	const users = 5
	c.Limit, c.PerUser = r.IntN(12), r.IntN(4)
	insertCoupon(t, b, c)
	used := make([]bool, 30)
	require.NoError(t, errors.Join(atOnce(b, len(used), func(ctx context.Context, tx courses.Tx, i int) (err error) {
		used[i], err = tx.UseCoupon(ctx, c.Code, core.UserID(i%users+1), day)
		return err
	})...))
	uses := make([]int, users)
	total := 0
	for i, ok := range used {
		if ok {
			uses[i%users]++
			total++
		}
	}
	all := len(used)
	if c.PerUser > 0 {
		all = users * min(c.PerUser, len(used)/users)
		require.LessOrEqual(t, slices.Max(uses), c.PerUser)
	}
	if c.Limit > 0 {
		all = min(all, c.Limit)
	}
	require.Equal(t, all, total, "limit %d, per user %d", c.Limit, c.PerUser)
	require.Equal(t, total, couponNow(t, b, c.Code).Used)
	write(t, b, func(ctx context.Context, tx courses.Tx) error {
		for user, n := range uses {
			for range n + 2 { // more than there are
				if err := tx.ReleaseCoupon(ctx, c.Code, core.UserID(user+1)); err != nil {
					return err
				}
			}
		}
		return errors.Join(tx.ReleaseCoupon(ctx, "none", 1), tx.ReleaseCoupon(ctx, "a\x00b", 1))
	})
	require.Zero(t, couponNow(t, b, c.Code).Used)
}
