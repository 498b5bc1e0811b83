package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// beside runs second while first has done its work and is not committed.
func beside(t testing.TB, b *storage.Backend, first, second func(ctx context.Context, tx courses.Tx) error) {
	t.Helper()
	written := make(chan bool)
	done := make(chan error, 1)
	go func() {
		<-written
		done <- b.Courses.Update(context.Background(), second)
	}()
	once := sync.OnceFunc(func() { close(written) })
	write(t, b, func(ctx context.Context, tx courses.Tx) error {
		err := first(ctx, tx)
		once()
		time.Sleep(100 * time.Millisecond)
		return err
	})
	require.NoError(t, <-done)
}

// besides are the cases of writers that come while another has not committed.
func (s suite) besides() {
	s.run("UpdateEnrollments counts the change from what a writer before it has committed", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		list := enroll(t, b, enrollment(cl.courses[0], 7), enrollment(cl.courses[0], 8), enrollment(cl.courses[0], 9))
		cancel := func(ctx context.Context, tx courses.Tx) error {
			e := list[0]
			e.Status, e.EndedAt = courses.Cancelled, day
			return tx.UpdateEnrollments(ctx, []courses.Enrollment{e})
		}
		beside(t, b, cancel, cancel)
		require.Equal(t, [][2]int64{{2, 0}}, seatsOf(t, b, "one"), "one who left is counted twice")
	})
	s.run("LockEnrollments waits for a writer, and returns the versions that it has committed", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		list := enroll(t, b, enrollment(cl.courses[0], 7), enrollment(cl.courses[0], 8))
		ids := []courses.EnrollmentID{list[1].ID, list[0].ID}
		lock := func(want int64) func(ctx context.Context, tx courses.Tx) error {
			return func(ctx context.Context, tx courses.Tx) error {
				got, err := tx.LockEnrollments(ctx, ids)
				if err == nil && (got[ids[0]] != want || got[ids[1]] != want) {
					err = fmt.Errorf("the versions are %v, not %d", got, want)
				}
				return errors.Join(err, tx.UpdateEnrollments(ctx, list))
			}
		}
		beside(t, b, lock(1), lock(2))
	})
	s.run("RecountLearning counts who enrolls meanwhile", func(t *testing.T, b *storage.Backend) {
		if s.limits.SetStats == nil {
			t.Skip("the suite cannot set the statistics of this storage")
		}
		cl := newClass(t, b)
		enroll(t, b, enrollment(cl.courses[0], 7))
		s.limits.SetStats(t, b, cl.courses[0].ID, courses.Stats{Students: 9})
		beside(t, b, func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.InsertEnrollments(ctx, []courses.Enrollment{enrollment(cl.courses[0], 8)})
			return err
		}, func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.RecountLearning(ctx, nil)
			return err
		})
		require.Equal(t, [][2]int64{{2, 0}}, seatsOf(t, b, "one"))
	})
	s.run("DeleteCoupon waits for an order that takes a use of the coupon, and is ErrCouponInUse then", func(t *testing.T, b *storage.Backend) {
		o := newOrder(1, oneCourse(t, b), 7)
		o.Coupon = insertCoupon(t, b, newCoupon("TEN")).Code
		beside(t, b, func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.UseCoupon(ctx, "TEN", 7, day)
			_, _, orderErr := tx.InsertOrder(ctx, o)
			return errors.Join(err, orderErr)
		}, func(ctx context.Context, tx courses.Tx) error {
			return expect(tx.DeleteCoupon(ctx, "TEN"), courses.ErrCouponInUse)
		})
		require.Equal(t, 1, couponNow(t, b, "TEN").Used)
	})
}
