package courses

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// The bounds of coupons.
const (
	MinCouponCode = 3
	MaxCouponCode = 32
	CouponTries   = 10 // codes that do not apply, of a user in an hour
)

// NewCoupon is what CreateCoupon takes: either Percent or Amount.
type NewCoupon struct {
	Code     string      `json:"code" validate:"required,line"`                      // 3 to 32 letters a-z in any case, digits, - and _
	Percent  int         `json:"percent,omitempty" validate:"min=0,max=100"`         // off the price, rounded in the buyer's favour
	Amount   *core.Money `json:"amount,omitempty"`                                   // off prices of its currency
	Course   string      `json:"course,omitempty" validate:"omitempty,slug"`         // the only one that it is for
	Limit    int         `json:"limit,omitempty" validate:"min=0,max=1000000000"`    // how many orders may use it; 0 is any number
	PerUser  int         `json:"per_user,omitempty" validate:"min=0,max=1000000000"` // how many orders of one user; 0 is any number
	StartsAt string      `json:"starts_at,omitempty" validate:"omitempty,max=40"`    // RFC 3339; empty is at once
	EndsAt   string      `json:"ends_at,omitempty" validate:"omitempty,max=40"`      // RFC 3339; empty is never
	Active   *bool       `json:"active,omitempty"`                                   // nil is true
}

// CouponEdit is what EditCoupon takes: what is nil stays. A Percent takes the place of an
// Amount, and the other way round.
type CouponEdit struct {
	Percent   *int        `json:"percent,omitempty" validate:"omitnil,min=1,max=100"`
	Amount    *core.Money `json:"amount,omitempty"`
	Course    *string     `json:"course,omitempty" validate:"omitnil,len=0|slug"` // empty is any
	Limit     *int        `json:"limit,omitempty" validate:"omitnil,min=0,max=1000000000"`
	PerUser   *int        `json:"per_user,omitempty" validate:"omitnil,min=0,max=1000000000"`
	StartsAt  *string     `json:"starts_at,omitempty" validate:"omitnil,max=40"`
	EndsAt    *string     `json:"ends_at,omitempty" validate:"omitnil,max=40"`
	Active    *bool       `json:"active,omitempty"`
	IfVersion int64       `json:"-"`
}

// CreateCoupon adds a coupon. Only an admin may. A taken code is ErrCouponTaken.
func (s *Service) CreateCoupon(ctx context.Context, by core.Actor, in NewCoupon) (Coupon, error) {
	ctx = core.WithOperation(ctx, "courses.CreateCoupon")
	if err := by.RequireAdmin(); err != nil {
		return Coupon{}, err
	}
	bad := s.check(in)
	if !isCouponCode(in.Code) {
		bad.add("code", "coupon_code", "3-32", in.Code, "3 to 32 letters a-z, digits, - and _ are expected")
	}
	edit := CouponEdit{
		Amount: in.Amount, Course: &in.Course, Limit: &in.Limit, PerUser: &in.PerUser, StartsAt: &in.StartsAt, EndsAt: &in.EndsAt, Active: in.Active,
	}
	if in.Percent != 0 {
		edit.Percent = &in.Percent
	}
	c := Coupon{Code: in.Code, Active: true}
	course, err := s.couponCourse(ctx, edit.Course, bad)
	if err != nil {
		return Coupon{}, err
	}
	edit.apply(&c, course, bad)
	if err := bad.err(); err != nil {
		return Coupon{}, err
	}
	var made Coupon
	t := s.trail(by)
	c.CreatedAt = t.at
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		if made, err = tx.InsertCoupon(ctx, c); err != nil {
			return err
		}
		return t.coupon(ctx, tx, "courses.coupon_created", &made)
	})
	return made, err
}

// EditCoupon changes what is given of a coupon. Orders keep the discount that they have.
// Only an admin may.
func (s *Service) EditCoupon(ctx context.Context, by core.Actor, code string, in CouponEdit) (Coupon, error) {
	ctx = core.WithOperation(ctx, "courses.EditCoupon")
	if err := by.RequireAdmin(); err != nil {
		return Coupon{}, err
	}
	bad := s.check(in)
	course, err := s.couponCourse(ctx, in.Course, bad)
	if err != nil {
		return Coupon{}, err
	}
	var changed Coupon
	t := s.trail(by)
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		c, err := tx.CouponByCode(ctx, code)
		if err == nil {
			err = same(in.IfVersion, c.Version)
		}
		if err != nil {
			return err
		}
		all := &checks{bad: bad.bad, fault: bad.fault} // the closure may run again
		in.apply(&c, course, all)
		if err := all.err(); err != nil {
			return err
		}
		if err := tx.UpdateCoupon(ctx, c); err != nil {
			if errors.Is(err, core.ErrVersion) { // another was between: once more
				err = core.ErrRetry.Because(err)
			}
			return err
		}
		if changed, err = tx.CouponByCode(ctx, code); err != nil {
			return err
		}
		return t.coupon(ctx, tx, "courses.coupon_updated", &changed)
	})
	return changed, err
}

// DeleteCoupon removes a coupon that no order names; else it is ErrCouponInUse. Only an
// admin may.
func (s *Service) DeleteCoupon(ctx context.Context, by core.Actor, code string) error {
	ctx = core.WithOperation(ctx, "courses.DeleteCoupon")
	if err := by.RequireAdmin(); err != nil {
		return err
	}
	t := s.trail(by)
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		c, err := tx.CouponByCode(ctx, code)
		if err != nil {
			return err
		}
		if err := tx.DeleteCoupon(ctx, code); err != nil {
			return err
		}
		return t.coupon(ctx, tx, "courses.coupon_deleted", &c)
	})
}

// Coupon returns a coupon, to admins.
func (s *Service) Coupon(ctx context.Context, by core.Actor, code string) (Coupon, error) {
	ctx = core.WithOperation(ctx, "courses.Coupon")
	if err := by.RequireAdmin(); err != nil {
		return Coupon{}, err
	}
	return s.store.CouponByCode(ctx, code)
}

// Coupons returns a page of the coupons by code without case, to admins.
func (s *Service) Coupons(ctx context.Context, by core.Actor, page core.Page) (Page[Coupon], error) {
	ctx = core.WithOperation(ctx, "courses.Coupons")
	if err := by.RequireAdmin(); err != nil {
		return Page[Coupon]{}, err
	}
	return core.ReadPage(s.cursors, "coupons", page,
		func(after string, limit int) ([]Coupon, error) { return s.store.Coupons(ctx, after, limit) },
		func(c Coupon) string { return core.Fold(c.Code) })
}

// coupon leaves an audit row of a coupon.
func (t trail) coupon(ctx context.Context, tx Tx, action string, c *Coupon) error {
	return t.audit(ctx, tx, action, "coupon/"+c.Code, map[string]any{
		"percent": c.Percent, "amount": c.Amount, "course": c.Slug, "limit": c.Limit, "per_user": c.PerUser, "active": c.Active,
	})
}

func isCouponCode(code string) bool {
	return len(code) >= MinCouponCode && len(code) <= MaxCouponCode &&
		strings.Trim(code, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// couponCourse looks up the course of a coupon: an empty slug and none give 0.
func (s *Service) couponCourse(ctx context.Context, slug *string, bad *checks) (CourseID, error) {
	if slug == nil || *slug == "" {
		return 0, nil
	}
	ids, err := s.store.CourseIDs(ctx, []string{*slug})
	if err == nil && ids[*slug] == 0 {
		bad.unknown("course", *slug, "course")
	}
	return ids[*slug], err
}

// apply writes the change over c and adds what is wrong with the result.
func (in *CouponEdit) apply(c *Coupon, course CourseID, bad *checks) {
	if in.Percent != nil && in.Amount != nil {
		bad.add("amount", "exclusive", "", "", "a coupon has a percentage or an amount, not both")
	}
	if in.Percent != nil {
		c.Percent, c.Amount = *in.Percent, core.Money{}
	} else if in.Amount != nil {
		c.Percent, c.Amount = 0, *in.Amount
	}
	if c.Percent == 0 && c.Amount.Minor <= 0 {
		bad.add("percent", "required", "", "", "a percentage or an amount above 0 is expected")
	}
	if in.Course != nil {
		c.Course = course
	}
	set(&c.Limit, in.Limit)
	set(&c.PerUser, in.PerUser)
	bad.time("starts_at", &c.StartsAt, in.StartsAt)
	bad.time("ends_at", &c.EndsAt, in.EndsAt)
	if !c.EndsAt.IsZero() && !c.StartsAt.Before(c.EndsAt) {
		bad.add("ends_at", "min", c.StartsAt.Format(time.RFC3339), c.EndsAt.Format(time.RFC3339), "it ends after it starts")
	}
	set(&c.Active, in.Active)
}

// time reads a time of RFC 3339 into to; an empty text is the zero time, and nil stays.
func (c *checks) time(field string, to *time.Time, text *string) {
	switch {
	case text == nil:
	case *text == "":
		*to = time.Time{}
	default:
		at, err := time.Parse(time.RFC3339, *text)
		if err != nil || at.UTC().Year() < 1970 || !core.ValidTime(at) {
			c.add(field, "rfc3339", "", *text, "a time of RFC 3339 from 1970 on is expected")
			return
		}
		*to = core.Time(at)
	}
}

// tryCoupon is useCoupon for what a buyer types: it counts a try before, under the lock of
// the course, so that those who order the same at once take turns, and gives it back unless
// the coupon does not apply. Admins see all coupons, and are not counted.
func (s *Service) tryCoupon(ctx context.Context, tx Tx, t trail, o *Order, code string) error {
	if t.by.IsAdmin() {
		return useCoupon(ctx, tx, t, o, code)
	}
	limit := core.Limit{Key: "coupons/" + strconv.FormatInt(int64(o.User), 10), Count: CouponTries, Per: time.Hour}
	wait, err := s.limiter.Take(ctx, limit)
	if err != nil {
		return err
	}
	if wait > 0 {
		return ErrTooManyCoupons.After(wait)
	}
	err = useCoupon(ctx, tx, t, o, code)
	if errors.Is(err, ErrCoupon) {
		return err
	}
	if failed := s.limiter.Return(context.WithoutCancel(ctx), limit); err == nil {
		err = failed
	}
	return err
}

// useCoupon takes a use of a coupon for an order and lowers its total. One that does not
// apply is ErrCoupon.
func useCoupon(ctx context.Context, tx Tx, t trail, o *Order, code string) error {
	used, err := tx.UseCoupon(ctx, code, o.User, t.at)
	if err != nil {
		return err
	}
	c, err := tx.CouponByCode(ctx, code)
	why := "unknown"
	if err == nil {
		why = c.refuses(o, t.at, used)
	} else if !errors.Is(err, ErrCouponNotFound) {
		return err
	}
	switch {
	case why == "":
	case why == couponUsedByUser || t.by.IsAdmin():
		return couponRefused(why, code)
	default:
		return couponRefused("not_valid", code)
	}
	o.Coupon, o.Total = c.Code, c.lowered(o.Price)
	return fault.Hit("courses.order.after_coupon")
}

// Why a coupon does not apply, as violations name it.
const (
	couponOtherCourse   = "other_course"
	couponOtherCurrency = "other_currency"
	couponInactive      = "inactive"
	couponNotStarted    = "not_started"
	couponEnded         = "ended"
	couponUsedUp        = "used_up"
	couponUsedByUser    = "used_by_user"
)

// refuses returns why a coupon does not apply to an order, or nothing.
func (c *Coupon) refuses(o *Order, at time.Time, used bool) string {
	switch {
	case c.Course != 0 && c.Course != o.Course:
		return couponOtherCourse
	case c.Percent == 0 && c.Amount.Currency != o.Price.Currency:
		return couponOtherCurrency
	case used:
		return ""
	case !c.Active:
		return couponInactive
	case at.Before(c.StartsAt):
		return couponNotStarted
	case !c.EndsAt.IsZero() && !at.Before(c.EndsAt):
		return couponEnded
	case c.Limit > 0 && c.Used >= c.Limit:
		return couponUsedUp
	}
	return couponUsedByUser
}

func couponRefused(why, code string) error {
	return ErrCoupon.With(core.Violation{Field: "coupon", Code: why, Got: code, Message: fmt.Sprintf("the coupon does not apply: %s", strings.ReplaceAll(why, "_", " "))})
}

// lowered returns a price less the discount, which is rounded up to whole minor units
// and at most the price.
func (c *Coupon) lowered(price core.Money) core.Money {
	discount := c.Amount.Minor
	if c.Percent > 0 {
		whole, rest := price.Minor/100, price.Minor%100
		discount = whole*int64(c.Percent) + (rest*int64(c.Percent)+99)/100
	}
	price.Minor -= min(discount, price.Minor)
	return price
}
