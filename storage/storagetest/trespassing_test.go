package storagetest_test

import (
	"context"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// trespassing is a Tx that does to the neighbors of a user what it is asked to do to one.
type trespassing struct{ courses.Tx }

const neighbors = 10

func (tx trespassing) DeleteEntitlement(ctx context.Context, course courses.CourseID, user core.UserID) (bool, error) {
	was := false
	for id := range core.UserID(neighbors) {
		found, err := tx.Tx.DeleteEntitlement(ctx, course, id)
		if err != nil {
			return false, err
		}
		was = was || id == user && found
	}
	return was, nil
}

func (tx trespassing) ReleaseCoupon(ctx context.Context, code string, _ core.UserID) error {
	before, err := tx.CouponByCode(ctx, code)
	for id, now := core.UserID(0), before; err == nil && id < neighbors && now.Used == before.Used; id++ {
		if err = tx.Tx.ReleaseCoupon(ctx, code, id); err == nil {
			now, err = tx.CouponByCode(ctx, code)
		}
	}
	return err
}

func (tx trespassing) CountBookmarks(ctx context.Context, _ core.UserID) (int, error) {
	all := 0
	for id := range core.UserID(neighbors) {
		n, err := tx.Tx.CountBookmarks(ctx, id)
		if err != nil {
			return 0, err
		}
		all += n
	}
	return all, nil
}

// unlocked is a Tx whose LockEnrollments has the versions that they began with.
type unlocked struct{ courses.Tx }

func (tx unlocked) LockEnrollments(ctx context.Context, ids []courses.EnrollmentID) (map[courses.EnrollmentID]int64, error) {
	versions, err := tx.Tx.LockEnrollments(ctx, ids)
	for id := range versions {
		versions[id] = 1
	}
	return versions, err
}
