package courses

import (
	"context"
	"errors"
	"strconv"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// NewOrder is what CreateOrder takes.
type NewOrder struct {
	Course   string `json:"course" validate:"required,max=120,line"`             // slug
	Coupon   string `json:"coupon,omitempty" validate:"omitempty,max=32,line"`   // code
	Provider string `json:"provider,omitempty" validate:"omitempty,max=32,slug"` // name; empty is the first one
	Key      string `json:"-"`                                                   // idempotency: the same Key and input give the same order
}

// CreateOrder orders a course for the actor and starts its payment: the buyer pays at
// the PayURL of the order, which is settled by the provider's callback. Where the
// coupon leaves nothing to pay, the order is paid and the actor enrolled at once. Who
// has a pending order of the course on the same terms gets that; on other terms it is
// given up for the new one.
//
// Besides what Enroll refuses, a course that costs nothing is ErrFree, one whose seats
// are taken ErrFull, who takes it already ErrEnrolled, who need not pay ErrEntitled, who
// has MaxOpenOrders that are not settled ErrTooManyOrders, and a coupon that does not apply ErrCoupon, whose violation says why. A provider that is
// away, does not answer within ten seconds, or answers what cannot be is
// core.ErrUnavailable: the order is kept, its payment is started later, and the
// same call again goes on with it. One that refuses is ErrPaymentRefused, and the order
// is given up.
func (s *Service) CreateOrder(ctx context.Context, by core.Actor, in NewOrder) (Order, error) {
	ctx = core.WithOperation(ctx, "courses.CreateOrder")
	switch {
	case by.IsAnonymous():
		return Order{}, core.ErrUnauthenticated
	case by.UserID < 0: // the operator is nobody who learns
		return Order{}, core.ErrForbidden
	}
	if err := s.check(in).err(); err != nil {
		return Order{}, err
	}
	provider, err := s.provider(in.Provider)
	if err != nil {
		return Order{}, err
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return Order{}, err
	}
	var id uuid.UUID
	err = s.withSeats(ctx, by, in.Course, func(ctx context.Context, tx Tx, seats *Seats, t trail) (err error) {
		id, err = core.Once(ctx, tx, s.key(by, "courses.order", seats.Course, in.Key, in), func() (uuid.UUID, error) {
			o, err := s.order(ctx, tx, t, may, seats, in.Coupon, provider)
			return o.ID, err
		})
		return err
	})
	if err != nil {
		return Order{}, err
	}
	o, err := s.store.OrderByID(context.WithoutCancel(ctx), id)
	if err != nil {
		return Order{}, core.ErrOutcomeUnknown.Because(err)
	}
	if o.Status == OrderPending && o.Payment == "" && s.clock.Now().Before(o.ExpiresAt) {
		if o, err = s.startPayment(ctx, o); err != nil {
			return Order{}, err
		}
	}
	return s.answerOrder(ctx, o)
}

// provider returns the provider of payments of a name, or the first one for none; nil
// where there is none at all.
func (s *Service) provider(name string) (Payments, error) {
	if name == "" && len(s.payments) > 0 {
		return s.payments[0], nil
	}
	for _, p := range s.payments {
		if p.Name() == name {
			return p, nil
		}
	}
	if name == "" {
		return nil, nil
	}
	return nil, core.Invalid("provider", "unknown", "", name, "there is no such provider of payments")
}

// providerOf returns the provider of an order, or core.ErrUnavailable for one that is not
// configured any more.
func (s *Service) providerOf(o Order) (Payments, error) {
	for _, p := range s.payments {
		if p.Name() == o.Provider {
			return p, nil
		}
	}
	return nil, core.ErrUnavailable.Withf("the order's provider of payments, %q, is not configured", o.Provider)
}

// order adds an order, or returns the pending one.
func (s *Service) order(ctx context.Context, tx Tx, t trail, may scope, seats *Seats, code string, provider Payments) (Order, error) {
	if err := orderable(ctx, tx, t, may, seats); err != nil {
		return Order{}, err
	}
	pending, err := tx.Orders(ctx, OrderQuery{User: t.by.UserID, Course: seats.Course, Status: OrderPending, Limit: 1})
	if err != nil {
		return Order{}, err
	}
	var replaced Order
	if len(pending) > 0 {
		replaced = pending[0]
		same, err := sameTerms(ctx, tx, t, seats, &replaced, code, provider)
		if err != nil {
			return Order{}, err
		}
		if same {
			return replaced, nil
		}
		if replaced, err = tx.OrderForUpdate(ctx, replaced.ID); err != nil {
			return Order{}, err
		}
	}
	// Coupons are locked in the order of their folded codes. The use of one coupon is
	// given back before it is taken again, and the pending order ends before another is.
	useFirst := code != "" && core.Fold(code) < core.Fold(replaced.Coupon)
	if len(pending) > 0 && !useFirst {
		if err := s.expire(ctx, tx, t, seats, &replaced, "replaced"); err != nil {
			return Order{}, err
		}
	}
	o := Order{
		ID: uuid.Must(uuid.NewV7()), Course: seats.Course, Slug: seats.Slug, User: t.by.UserID, Price: seats.Price, Total: seats.Price,
		Status: OrderPending, Watched: true, CreatedAt: t.at, ExpiresAt: t.at.Add(s.orderTTL),
	}
	if code != "" {
		if err := useCoupon(ctx, tx, t.at, &o, code); err != nil {
			return Order{}, err
		}
	}
	if useFirst {
		if err := s.expire(ctx, tx, t, seats, &replaced, "replaced"); err != nil {
			return Order{}, err
		}
	}
	if o.Total.Minor == 0 {
		return s.giveAway(ctx, tx, t, seats, o)
	}
	if provider == nil {
		return Order{}, core.ErrUnavailable.Withf("this platform takes no payments here")
	}
	open, err := tx.LockBuyer(ctx, o.User)
	if err != nil {
		return Order{}, err
	}
	if open >= MaxOpenOrders {
		return Order{}, ErrTooManyOrders.With(core.Invalid("orders", "max", strconv.Itoa(MaxOpenOrders), strconv.Itoa(open+1), "there are as many as there may be").Violations...)
	}
	o.Provider = provider.Name()
	if o, err = insertOrder(ctx, tx, o); err != nil {
		return Order{}, err
	}
	return o, tx.Emit(ctx, t.ordered(EventOrderCreated, seats.Teacher, &o))
}

// sameTerms reports whether a pending order is what its buyer would get now: by the same
// provider, with the same coupon, for the same price and total.
func sameTerms(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order, code string, provider Payments) (bool, error) {
	if provider == nil || provider.Name() != o.Provider || core.Fold(o.Coupon) != core.Fold(code) || !t.at.Before(o.ExpiresAt) || o.Price != seats.Price {
		return false, nil
	}
	if o.Coupon == "" {
		return true, nil
	}
	c, err := tx.CouponByCode(ctx, o.Coupon)
	return c.lowered(o.Price) == o.Total, err
}

func insertOrder(ctx context.Context, tx Tx, o Order) (Order, error) {
	stored, added, err := tx.InsertOrder(ctx, o)
	if err != nil {
		return Order{}, err
	}
	if !added { // whoever orders holds the course's lock
		return Order{}, core.ErrInternal.Withf("there is a pending order of the course that was not seen")
	}
	return stored, fault.Hit("courses.order.after_insert")
}

// orderable returns why the actor cannot order a course, or nil.
func orderable(ctx context.Context, tx Tx, t trail, may scope, seats *Seats) error {
	if may.owns(seats.Teacher) {
		return ErrOwnCourse
	}
	learner, err := tx.LearnerOf(ctx, seats.Course, t.by.UserID)
	switch {
	case err != nil:
		return err
	case !may.with(learner).sees(seats.course()):
		return ErrCourseNotFound
	case seats.Status != Published:
		return ErrNotOpen
	case learner.Enrollment.Status.Seated():
		return ErrEnrolled
	case learner.Entitled:
		return ErrEntitled
	case seats.Price.Minor == 0:
		return ErrFree
	case seats.Full():
		return ErrFull
	}
	return nil
}

// giveAway adds an order of which nothing is to be paid, and enrolls its buyer.
func (s *Service) giveAway(ctx context.Context, tx Tx, t trail, seats *Seats, o Order) (Order, error) {
	o.Status, o.Watched, o.PaidAt = OrderPaid, false, t.at
	o, err := insertOrder(ctx, tx, o)
	if err != nil {
		return Order{}, err
	}
	if err := tx.Emit(ctx, t.ordered(EventOrderCreated, seats.Teacher, &o)); err != nil {
		return Order{}, err
	}
	return o, s.deliver(ctx, tx, t, seats, &o)
}

// startPayment asks the provider of a pending order for its payment, outside any
// transaction, and keeps what it says.
func (s *Service) startPayment(ctx context.Context, o Order) (Order, error) {
	provider, err := s.providerOf(o)
	if err != nil {
		return Order{}, err
	}
	request := PaymentRequest{Order: o.ID, Amount: o.Total, Description: o.Slug, ReturnURL: s.returnURL(o), ExpiresAt: o.ExpiresAt}
	if err := s.describe(ctx, o, &request); err != nil {
		return Order{}, err
	}
	if err := fault.Hit("courses.order.before_payment"); err != nil {
		return Order{}, err
	}
	payment, err := provider.Create(ctx, request)
	switch {
	case err != nil && ctx.Err() != nil:
		return Order{}, ctx.Err()
	case err != nil && !refuses(err):
		return Order{}, away(err)
	case err != nil:
		if _, closeErr := s.giveUp(ctx, o.ID, codeRefused); closeErr != nil {
			return Order{}, closeErr
		}
		return Order{}, ErrPaymentRefused.Because(err)
	}
	if err := checkAnswer(payment, o); err != nil {
		return Order{}, err
	}
	if err := fault.Hit("courses.order.after_payment"); err != nil {
		return Order{}, err
	}
	return s.settle(ctx, o.Provider, PaymentEvent{Payment: payment})
}

// describe fills in the title of the course and the e-mail address of the buyer.
func (s *Service) describe(ctx context.Context, o Order, request *PaymentRequest) error {
	c, err := s.courseBySlug(ctx, o.Slug)
	if err != nil {
		return err
	}
	users, err := s.users.UsersByID(ctx, []core.UserID{o.User})
	if err != nil {
		return err
	}
	request.Description = c.Title
	if len(users) > 0 {
		request.Email = users[0].Email
	}
	return nil
}

// refuses reports whether an error of a provider is its last word.
func refuses(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	switch core.KindOf(err) {
	case core.KindInternal, core.KindUnavailable, core.KindRateLimited, core.KindOutcomeUnknown:
		return false
	}
	return true
}

// away is what it means that a provider does not answer.
func away(err error) error {
	return core.ErrUnavailable.Withf("the provider of payments does not answer").Because(err)
}

// answerOrder names the buyer of an order that has just been committed.
func (s *Service) answerOrder(ctx context.Context, o Order) (Order, error) {
	list := []Order{o}
	if err := s.nameBuyers(context.WithoutCancel(ctx), list); err != nil {
		return Order{}, core.ErrOutcomeUnknown.Because(err)
	}
	return list[0], nil
}
