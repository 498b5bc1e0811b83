package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

const (
	ordersPath  = Prefix + "/orders/"
	couponsPath = Prefix + "/coupons/"
)

// maxCallback is how many bytes a callback of a provider of payments may have, whatever
// Options.MaxBody is.
const maxCallback = 64 << 10

type order struct {
	ID        string     `json:"id"`
	Course    string     `json:"course" doc:"Slug"`
	User      string     `json:"user" doc:"Username of the buyer"`
	Status    string     `json:"status" enum:"pending,paid,expired,refunding,refunded"`
	Price     core.Money `json:"price" doc:"Of the course when it was ordered"`
	Coupon    *string    `json:"coupon"`
	Total     core.Money `json:"total" doc:"What is paid"`
	Provider  *string    `json:"provider" doc:"null where there is nothing to pay"`
	PayURL    *string    `json:"pay_url" doc:"Where the buyer pays, while the order is pending"`
	Reason    *string    `json:"reason" doc:"The code of why it was expired or refunded"`
	CreatedAt time.Time  `json:"created_at"`
	PaidAt    *time.Time `json:"paid_at"`
	EndedAt   *time.Time `json:"ended_at" doc:"When it was expired or refunded"`
	ExpiresAt time.Time  `json:"expires_at" doc:"Until when it may be paid"`
}

func orderOf(o courses.Order) order {
	out := order{
		ID: o.ID.String(), Course: o.Slug, User: o.Username, Status: string(o.Status), Price: o.Price, Coupon: textOrNull(o.Coupon), Total: o.Total,
		Provider: textOrNull(o.Provider), Reason: textOrNull(o.Code), CreatedAt: o.CreatedAt.UTC(), PaidAt: timeOrNull(o.PaidAt),
		EndedAt: timeOrNull(o.EndedAt), ExpiresAt: o.ExpiresAt.UTC(),
	}
	if o.Status == courses.OrderPending {
		out.PayURL = textOrNull(o.PayURL)
	}
	return out
}

type coupon struct {
	Code      string      `json:"code" doc:"Unique without case"`
	Percent   int         `json:"percent" doc:"Off the price, rounded in the buyer's favour; 0 where it is an amount"`
	Amount    *core.Money `json:"amount" doc:"null where it is a percentage"`
	Course    *string     `json:"course" doc:"The only one that it is for; null is any"`
	Limit     int         `json:"limit" doc:"How many orders may use it; 0 is any number"`
	PerUser   int         `json:"per_user" doc:"How many orders of one user; 0 is any number"`
	Used      int         `json:"used" doc:"By orders that are pending or paid"`
	StartsAt  *time.Time  `json:"starts_at"`
	EndsAt    *time.Time  `json:"ends_at"`
	Active    bool        `json:"active"`
	CreatedAt time.Time   `json:"created_at"`
}

func couponOf(c courses.Coupon) coupon {
	out := coupon{
		Code: c.Code, Percent: c.Percent, Course: textOrNull(c.Slug), Limit: c.Limit, PerUser: c.PerUser, Used: c.Used,
		StartsAt: timeOrNull(c.StartsAt), EndsAt: timeOrNull(c.EndsAt), Active: c.Active, CreatedAt: c.CreatedAt.UTC(),
	}
	if c.Percent == 0 {
		out.Amount = &c.Amount
	}
	return out
}

func (a *api) mountOrders() {
	const tag = "orders"
	send(a, route{
		method: http.MethodPost, path: ordersPath, id: "orders-create", tag: tag, summary: "Order a course",
		description: "The buyer pays at pay_url. Where a coupon leaves nothing to pay, the order is paid at once." +
			" A pending order on the same terms is given again; on other terms it is given up for the new one." +
			" A user has at most 20 that are pending, or given up less than an hour after their time: one more is 409.",
		status: http.StatusCreated, keyed: true, signedIn: true, failures: []int{http.StatusNotFound},
	}, func(ctx context.Context, c *call, in courses.NewOrder) (order, error) {
		in.Key = c.key()
		made, err := a.platform.Courses.CreateOrder(ctx, c.actor, in)
		if err != nil {
			return order{}, err
		}
		c.location = ordersPath + made.ID.String() + "/"
		return orderOf(made), nil
	})
	get(a, route{
		path: ordersPath, id: "orders-list", tag: tag, summary: "One's orders, the newest first", signedIn: true,
		description: "To admins those of everybody.",
		query: append(pageParams(),
			param{name: "user", doc: "Username; only admins name another"},
			param{name: "course", doc: "Slug"},
			param{name: "status", kind: choice, choices: names(courses.OrderStatuses[:]), doc: "Only those in it"},
		),
	}, func(ctx context.Context, c *call) (list[order], error) {
		page, err := a.platform.Courses.Orders(ctx, c.actor, courses.OrderFilter{
			User: c.args.text("user"), Course: c.args.text("course"), Status: courses.OrderStatus(c.args.text("status")),
		}, c.page())
		return present(page.Items, page.Next, orderOf), err
	})
	get(a, route{
		path: ordersPath + "{id}/", id: "orders-get", tag: tag, summary: "An order", signedIn: true,
		description: "For its buyer, and admins.",
	}, func(ctx context.Context, c *call) (order, error) { return c.order(a.platform.Courses.Order) })
	send(a, route{
		method: http.MethodPost, path: ordersPath + "{id}/refund/", id: "orders-refund", tag: tag, summary: "Give the money of an order back", signedIn: true,
		description: "Admins only. The access ends at once; where the provider is away the order is refunding until it answers.",
	}, func(_ context.Context, c *call, _ none) (order, error) {
		return c.order(a.platform.Courses.RefundOrder)
	})
	a.mountCoupons()
	a.mountCallbacks()
}

// order does something to the order of the path.
func (c *call) order(do func(ctx context.Context, by core.Actor, id uuid.UUID) (courses.Order, error)) (order, error) {
	id, err := uuid.Parse(c.path("id"))
	if err != nil || id.String() != c.path("id") {
		return order{}, courses.ErrOrderNotFound
	}
	found, err := do(c.request.Context(), c.actor, id)
	if err != nil {
		return order{}, err
	}
	return orderOf(found), nil
}

func (a *api) mountCoupons() {
	const tag = "coupons"
	path := couponsPath + "{code}/"
	get(a, route{
		path: couponsPath, id: "coupons-list", tag: tag, summary: "The coupons by code", signedIn: true, description: "Admins only.", query: pageParams(),
	}, func(ctx context.Context, c *call) (list[coupon], error) {
		page, err := a.platform.Courses.Coupons(ctx, c.actor, c.page())
		return present(page.Items, page.Next, couponOf), err
	})
	send(a, route{
		method: http.MethodPost, path: couponsPath, id: "coupons-create", tag: tag, summary: "Add a coupon", signedIn: true, status: http.StatusCreated,
		description: "Admins only. It has either a percentage or an amount. Times are RFC 3339.",
	}, func(ctx context.Context, c *call, in courses.NewCoupon) (coupon, error) {
		made, err := a.platform.Courses.CreateCoupon(ctx, c.actor, in)
		if err == nil {
			c.location = couponsPath + made.Code + "/"
		}
		return c.coupon(made, err)
	})
	get(a, route{
		path: path, id: "coupons-get", tag: tag, summary: "A coupon", signedIn: true, description: "Admins only.",
	}, func(ctx context.Context, c *call) (coupon, error) {
		return c.coupon(a.platform.Courses.Coupon(ctx, c.actor, c.path("code")))
	})
	send(a, route{
		method: http.MethodPatch, path: path, id: "coupons-update", tag: tag, summary: "Change a coupon", signedIn: true, versioned: true,
		description: "Admins only. What is left out stays; orders keep the discount that they have.",
	}, func(ctx context.Context, c *call, in courses.CouponEdit) (coupon, error) {
		in.IfVersion = c.version
		return c.coupon(a.platform.Courses.EditCoupon(ctx, c.actor, c.path("code"), in))
	})
	send(a, route{
		method: http.MethodDelete, path: path, id: "coupons-delete", tag: tag, summary: "Remove a coupon that no order names", signedIn: true,
		description: "Admins only. Any other is switched off.",
	}, func(ctx context.Context, c *call, _ none) (none, error) {
		return none{}, a.platform.Courses.DeleteCoupon(ctx, c.actor, c.path("code"))
	})
}

func (c *call) coupon(found courses.Coupon, err error) (coupon, error) {
	if err != nil {
		return coupon{}, err
	}
	c.at = found.Version
	return couponOf(found), nil
}

// mountCallbacks takes what providers of payments send. Who sends it is theirs to prove.
func (a *api) mountCallbacks() {
	send(a, route{
		method: http.MethodPost, path: Prefix + "/payments/webhooks/{provider}/", id: "payments-webhook", tag: "orders",
		summary: "For providers of payments: what has become of a payment", nobody: true, raw: true,
		description: "The body is what the provider signs, at most 64 KiB, and may come again, late and in any order. A callback that was not sent by it is 401.",
		failures:    []int{http.StatusUnauthorized, http.StatusConflict},
	}, func(ctx context.Context, c *call, _ none) (status, error) {
		body, err := bodyOf(c.request, maxCallback)
		if err != nil {
			return status{}, err
		}
		if err := a.platform.Courses.PaymentCallback(ctx, c.path("provider"), c.request.Header, body); err != nil {
			return status{}, err
		}
		return status{"ok"}, nil
	})
}
