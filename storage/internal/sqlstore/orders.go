package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

const selectOrders = "SELECT o.id, o.course_id, c.slug, o.user_id, o.price_minor, o.total_minor, o.currency, o.coupon, o.status, o.provider, o.payment," +
	" o.pay_url, o.code, o.created_at, o.paid_at, o.ended_at, o.expires_at, o.watched, o.version" +
	" FROM ustat_orders AS o JOIN ustat_courses AS c ON c.id = o.course_id WHERE "

func scanOrder(rows *sql.Rows, o *courses.Order) error {
	var coupon sql.NullString
	var paid, ended sql.NullTime
	if err := rows.Scan(&o.ID, &o.Course, &o.Slug, &o.User, &o.Price.Minor, &o.Total.Minor, &o.Price.Currency, &coupon, &o.Status, &o.Provider, &o.Payment,
		&o.PayURL, &o.Code, &o.CreatedAt, &paid, &ended, &o.ExpiresAt, &o.Watched, &o.Version); err != nil {
		return err
	}
	o.Coupon, o.Total.Currency = coupon.String, o.Price.Currency
	o.CreatedAt, o.PaidAt, o.EndedAt, o.ExpiresAt = o.CreatedAt.UTC(), orZero(paid), orZero(ended), o.ExpiresAt.UTC()
	return nil
}

// OrderByID implements courses.OrderReader.
func (r coursesReader) OrderByID(ctx context.Context, id uuid.UUID) (courses.Order, error) {
	found, err := readAll(ctx, r.session, selectOrders+"o.id = ?", []any{id.String()}, scanOrder)
	if err == nil && len(found) == 0 {
		err = courses.ErrOrderNotFound
	}
	if err != nil {
		return courses.Order{}, err
	}
	return found[0], nil
}

// Orders implements courses.OrderReader.
func (r coursesReader) Orders(ctx context.Context, q courses.OrderQuery) ([]courses.Order, error) {
	var where []string
	var args []any
	add := func(condition string, arg any) { where, args = append(where, condition), append(args, arg) }
	if q.User != 0 {
		add("o.user_id = ?", q.User)
	}
	if q.Course != 0 {
		add("o.course_id = ?", q.Course)
	}
	if q.Status != "" {
		add("o.status = ?", string(q.Status))
	}
	if q.After != uuid.Nil {
		add("o.id < ?", q.After.String())
	}
	if len(where) == 0 {
		where = []string{"TRUE"}
	}
	return readAll(ctx, r.session, selectOrders+strings.Join(where, " AND ")+" ORDER BY o.id DESC LIMIT ?", append(args, q.Limit), scanOrder)
}

// UnsettledOrders implements courses.OrderReader.
func (r coursesReader) UnsettledOrders(ctx context.Context, before time.Time, limit int) ([]courses.Order, error) {
	return readAll(ctx, r.session, selectOrders+"o.watched AND o.looked_at < ? ORDER BY o.looked_at, o.id LIMIT ?",
		[]any{r.db.timeValue(core.Time(before)), limit}, scanOrder)
}

// StrandedOrders implements courses.OrderReader. It looks at the archived courses, by the
// index of who waits.
func (r coursesReader) StrandedOrders(ctx context.Context, limit int) ([]courses.Order, error) {
	return readAll(ctx, r.session, selectOrders+"o.status = 'paid' AND o.id IN (SELECT r.order_id FROM ustat_courses AS k"+
		" JOIN ustat_enrollments AS e ON e.course_id = k.id AND e.status = 'waiting' JOIN ustat_entitlements AS r ON r.course_id = e.course_id AND r.user_id = e.user_id"+
		" WHERE k.status = 'archived') ORDER BY o.id LIMIT ?", []any{limit}, scanOrder)
}

// OrderForUpdate implements courses.OrderWriter. The row is locked before it is read,
// so that it is as the last writer left it.
func (t coursesTx) OrderForUpdate(ctx context.Context, id uuid.UUID) (courses.Order, error) {
	if lock := t.Tx.db.dialect.ForUpdate; lock != "" {
		var ids []string
		if err := t.Tx.rawScan(ctx, &ids, "SELECT CAST(id AS TEXT) FROM ustat_orders WHERE id = ?"+lock, id); err != nil {
			return courses.Order{}, err
		}
	}
	return t.OrderByID(ctx, id)
}

// orderRow is what InsertOrder writes.
type orderRow struct {
	bun.BaseModel `bun:"table:ustat_orders"`
	ID            uuid.UUID           `bun:"id,type:uuid"`
	CourseID      courses.CourseID    `bun:"course_id"`
	UserID        core.UserID         `bun:"user_id"`
	PriceMinor    int64               `bun:"price_minor"`
	TotalMinor    int64               `bun:"total_minor"`
	Currency      string              `bun:"currency"`
	Coupon        any                 `bun:"coupon"`
	Status        courses.OrderStatus `bun:"status"`
	Provider      string              `bun:"provider"`
	Payment       string              `bun:"payment"`
	PayURL        string              `bun:"pay_url"`
	Code          string              `bun:"code"`
	CreatedAt     time.Time           `bun:"created_at"`
	PaidAt        any                 `bun:"paid_at"`
	EndedAt       any                 `bun:"ended_at"`
	ExpiresAt     time.Time           `bun:"expires_at"`
	Watched       bool                `bun:"watched"`
	LookedAt      time.Time           `bun:"looked_at"`
}

func textOrNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func checkOrder(o courses.Order) error {
	return checkText(1, func(int) []string {
		return []string{o.Price.Currency, o.Coupon, string(o.Status), o.Provider, o.Payment, o.PayURL, o.Code}
	})
}

// InsertOrder implements courses.OrderWriter.
func (t coursesTx) InsertOrder(ctx context.Context, o courses.Order) (courses.Order, bool, error) {
	if err := checkOrder(o); err != nil {
		return courses.Order{}, false, err
	}
	rows := []orderRow{{
		ID: o.ID, CourseID: o.Course, UserID: o.User, PriceMinor: o.Price.Minor, TotalMinor: o.Total.Minor, Currency: o.Price.Currency,
		Coupon: textOrNil(o.Coupon), Status: o.Status, Provider: o.Provider, Payment: o.Payment, PayURL: o.PayURL, Code: o.Code,
		CreatedAt: core.Time(o.CreatedAt), PaidAt: orNull(o.PaidAt), EndedAt: orNull(o.EndedAt), ExpiresAt: core.Time(o.ExpiresAt),
		Watched: o.Watched, LookedAt: core.Time(o.CreatedAt),
	}}
	_, added, err := insert[orderRow, string](ctx, t.Tx, "ustat_orders", rows, "id")
	if err != nil {
		return courses.Order{}, false, err
	}
	if added {
		stored, err := t.OrderByID(ctx, o.ID)
		return stored, true, err
	}
	found, err := readAll(ctx, t.Tx.session, selectOrders+"o.course_id = ? AND o.user_id = ? AND o.status = 'pending'", []any{o.Course, o.User}, scanOrder)
	if err == nil && len(found) == 0 {
		err = core.ErrConflict.Withf("an order with that id is there already")
	}
	if err != nil {
		return courses.Order{}, false, err
	}
	return found[0], false, nil
}

// LockBuyer implements courses.OrderWriter. The row is written, so that it is locked, and
// the orders are counted by a statement after the wait.
func (t coursesTx) LockBuyer(ctx context.Context, user core.UserID) (int, error) {
	if _, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_buyers (user_id) VALUES (?) ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id", user); err != nil {
		return 0, err
	}
	var open int
	err := t.Tx.rawScan(ctx, &open, "SELECT count(*) FROM ustat_orders WHERE user_id = ? AND watched AND status <> 'refunding'", user)
	return open, err
}

// UpdateOrder implements courses.OrderWriter.
func (t coursesTx) UpdateOrder(ctx context.Context, o courses.Order) error {
	if err := checkOrder(o); err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_orders SET status = ?, provider = ?, payment = ?, pay_url = ?, code = ?, paid_at = ?, ended_at = ?, expires_at = ?, watched = ?,"+
		" version = version + 1 WHERE id = ?",
		o.Status, o.Provider, o.Payment, o.PayURL, o.Code, orNull(o.PaidAt), orNull(o.EndedAt), core.Time(o.ExpiresAt), o.Watched, o.ID)
	if err == nil && n == 0 {
		return courses.ErrOrderNotFound
	}
	return err
}

// TouchOrders implements courses.OrderWriter.
func (t coursesTx) TouchOrders(ctx context.Context, at time.Time, ids ...uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := t.Tx.rawExec(ctx, "UPDATE ustat_orders SET looked_at = ? WHERE id IN (?)", core.Time(at), bun.List(ids))
	return err
}

// AddPaymentEvent implements courses.OrderWriter.
func (t coursesTx) AddPaymentEvent(ctx context.Context, provider, id string, order uuid.UUID, at time.Time) (bool, error) {
	if err := checkText(1, func(int) []string { return []string{provider, id} }); err != nil {
		return false, err
	}
	n, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_payment_events (provider, id, order_id, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		provider, id, order, core.Time(at))
	return n == 1, err
}

// SetEntitlement implements courses.OrderWriter.
func (t coursesTx) SetEntitlement(ctx context.Context, e courses.Entitlement) error {
	if err := checkText(1, func(int) []string { return []string{string(e.Source), e.PricePaid.Currency} }); err != nil {
		return err
	}
	var order any
	if e.Order != uuid.Nil {
		order = e.Order
	}
	_, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_entitlements (course_id, user_id, source, order_id, paid_minor, currency, granted_by, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"+
		" ON CONFLICT (course_id, user_id) DO UPDATE SET source = excluded.source, order_id = excluded.order_id, paid_minor = excluded.paid_minor,"+
		" currency = excluded.currency, granted_by = excluded.granted_by, at = excluded.at",
		e.Course, e.User, e.Source, order, e.PricePaid.Minor, e.PricePaid.Currency, e.By, core.Time(e.At))
	return err
}

// DeleteEntitlement implements courses.OrderWriter.
func (t coursesTx) DeleteEntitlement(ctx context.Context, course courses.CourseID, user core.UserID) (bool, error) {
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_entitlements WHERE course_id = ? AND user_id = ?", course, user)
	return n == 1, err
}
