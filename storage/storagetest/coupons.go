package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

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
