package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

const selectCoupons = "SELECT k.code, k.percent, k.amount_minor, k.currency, k.course_id, c.slug, k.use_limit, k.per_user, k.used, k.starts_at, k.ends_at, k.active," +
	" k.created_at, k.version FROM ustat_coupons AS k LEFT JOIN ustat_courses AS c ON c.id = k.course_id WHERE "

func scanCoupon(rows *sql.Rows, c *courses.Coupon) error {
	var course sql.NullInt64
	var slug sql.NullString
	var starts, ends sql.NullTime
	if err := rows.Scan(&c.Code, &c.Percent, &c.Amount.Minor, &c.Amount.Currency, &course, &slug, &c.Limit, &c.PerUser, &c.Used, &starts, &ends, &c.Active,
		&c.CreatedAt, &c.Version); err != nil {
		return err
	}
	c.Course, c.Slug = courses.CourseID(course.Int64), slug.String
	c.StartsAt, c.EndsAt, c.CreatedAt = orZero(starts), orZero(ends), c.CreatedAt.UTC()
	return nil
}

// CouponByCode implements courses.OrderReader.
func (r coursesReader) CouponByCode(ctx context.Context, code string) (courses.Coupon, error) {
	if !core.ValidText(code) {
		return courses.Coupon{}, courses.ErrCouponNotFound
	}
	found, err := readAll(ctx, r.session, selectCoupons+"k.code_folded = ?", []any{core.Fold(code)}, scanCoupon)
	if err == nil && len(found) == 0 {
		err = courses.ErrCouponNotFound
	}
	if err != nil {
		return courses.Coupon{}, err
	}
	return found[0], nil
}

// Coupons implements courses.OrderReader.
func (r coursesReader) Coupons(ctx context.Context, after string, limit int) ([]courses.Coupon, error) {
	if !core.ValidText(after) {
		return nil, core.Invalid("after", "text", "", "", "valid UTF-8 without NUL is expected")
	}
	return readAll(ctx, r.session, selectCoupons+"k.code_folded > ? ORDER BY k.code_folded LIMIT ?", []any{after, limit}, scanCoupon)
}

func checkCoupon(c courses.Coupon) error {
	return checkText(1, func(int) []string { return []string{c.Code, c.Amount.Currency} })
}

// InsertCoupon implements courses.OrderWriter.
func (t coursesTx) InsertCoupon(ctx context.Context, c courses.Coupon) (courses.Coupon, error) {
	if err := checkCoupon(c); err != nil {
		return courses.Coupon{}, err
	}
	n, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_coupons (code_folded, code, percent, amount_minor, currency, course_id, use_limit, per_user, starts_at, ends_at, active, created_at)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		core.Fold(c.Code), c.Code, c.Percent, c.Amount.Minor, c.Amount.Currency, nullID(int64(c.Course)), c.Limit, c.PerUser,
		orNull(c.StartsAt), orNull(c.EndsAt), c.Active, core.Time(c.CreatedAt))
	if err == nil && n == 0 {
		err = courses.ErrCouponTaken
	}
	if err != nil {
		return courses.Coupon{}, err
	}
	return t.CouponByCode(ctx, c.Code)
}

// UpdateCoupon implements courses.OrderWriter.
func (t coursesTx) UpdateCoupon(ctx context.Context, c courses.Coupon) error {
	if err := checkCoupon(c); err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_coupons SET percent = ?, amount_minor = ?, currency = ?, course_id = ?, use_limit = ?, per_user = ?, starts_at = ?, ends_at = ?,"+
		" active = ?, version = version + 1 WHERE code_folded = ? AND version = ?",
		c.Percent, c.Amount.Minor, c.Amount.Currency, nullID(int64(c.Course)), c.Limit, c.PerUser, orNull(c.StartsAt), orNull(c.EndsAt), c.Active,
		core.Fold(c.Code), c.Version)
	if err != nil || n == 1 {
		return err
	}
	if _, err := t.CouponByCode(ctx, c.Code); err != nil {
		return err
	}
	return core.ErrVersion
}

// DeleteCoupon implements courses.OrderWriter. The coupon is locked first: whoever
// takes a use of it for a new order waits, and then does not find it.
func (t coursesTx) DeleteCoupon(ctx context.Context, code string) error {
	if !core.ValidText(code) {
		return courses.ErrCouponNotFound
	}
	var found []string
	if err := t.Tx.rawScan(ctx, &found, "SELECT code FROM ustat_coupons WHERE code_folded = ?"+t.Tx.db.dialect.ForUpdate, core.Fold(code)); err != nil {
		return err
	}
	if len(found) == 0 {
		return courses.ErrCouponNotFound
	}
	var orders []string
	if err := t.Tx.rawScan(ctx, &orders, "SELECT CAST(id AS TEXT) FROM ustat_orders WHERE coupon = ? LIMIT 1", found[0]); err != nil {
		return err
	}
	if len(orders) > 0 {
		return courses.ErrCouponInUse
	}
	for _, table := range [...]string{"ustat_coupon_uses", "ustat_coupons"} {
		if _, err := t.Tx.rawExec(ctx, "DELETE FROM "+table+" WHERE code = ?", found[0]); err != nil {
			return err
		}
	}
	return nil
}

// UseCoupon implements courses.OrderWriter. The guarded UPDATE locks the coupon, so
// that the uses of it take turns; where the user's own bound is reached after it, what
// it has taken is given back.
func (t coursesTx) UseCoupon(ctx context.Context, code string, user core.UserID, at time.Time) (bool, error) {
	if !core.ValidText(code) {
		return false, nil
	}
	var used []struct {
		Code    string
		PerUser int
	}
	if err := t.Tx.rawScan(ctx, &used, "UPDATE ustat_coupons SET used = used + 1 WHERE code_folded = ? AND active AND (use_limit = 0 OR used < use_limit)"+
		" AND (starts_at IS NULL OR starts_at <= ?) AND (ends_at IS NULL OR ends_at > ?) RETURNING code, per_user",
		core.Fold(code), core.Time(at), core.Time(at)); err != nil || len(used) == 0 {
		return false, err
	}
	n, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_coupon_uses AS u (code, user_id, used) VALUES (?, ?, 1)"+
		" ON CONFLICT (code, user_id) DO UPDATE SET used = u.used + 1 WHERE ? = 0 OR u.used < ?",
		used[0].Code, user, used[0].PerUser, used[0].PerUser)
	if err != nil || n == 1 {
		return n == 1, err
	}
	_, err = t.Tx.rawExec(ctx, "UPDATE ustat_coupons SET used = used - 1 WHERE code = ?", used[0].Code)
	return false, err
}

// ReleaseCoupon implements courses.OrderWriter.
func (t coursesTx) ReleaseCoupon(ctx context.Context, code string, user core.UserID) error {
	if !core.ValidText(code) {
		return nil
	}
	var released []string
	if err := t.Tx.rawScan(ctx, &released, "UPDATE ustat_coupons SET used = used - 1 WHERE code_folded = ? AND used > 0 RETURNING code", core.Fold(code)); err != nil || len(released) == 0 {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_coupon_uses SET used = used - 1 WHERE code = ? AND user_id = ? AND used > 0", released[0], user)
	if err != nil || n == 1 {
		return err
	}
	_, err = t.Tx.rawExec(ctx, "UPDATE ustat_coupons SET used = used + 1 WHERE code = ?", released[0]) // it was not theirs
	return err
}
