package courses

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// Why an order ended, for machines, beside what its provider's payment says.
const (
	codeFailed     = "payment_failed"
	codeRefused    = "payment_refused"  // its provider does not take it
	codeRefunded   = "payment_refunded" // by the provider
	codeExpired    = "expired"
	codeEnrolled   = "already_enrolled" // the money came when it was not needed any more
	codeClosed     = "course_closed"
	codeCoupon     = "coupon_gone"
	codeByAdmin    = "refunded_by_admin"
	codeCancelled  = "cancelled"                // by a buyer who was still waiting for a seat
	eventMismatch  = "courses.payment_mismatch" // in the audit log
	maxCallback    = 64 << 10
	maxPaymentText = 255
)

// PaymentCallback takes a callback of a provider: its headers, whose names are
// canonical, and its raw body of at most 64 KiB. What it says of an order is done once,
// whatever comes again, late, or in another order.
//
// A provider that is not configured is ErrProviderNotFound, a callback that it did not
// send ErrCallback, and one about an order that is not its own ErrOrderNotFound. One
// about another amount or payment than the order's is taken, changes nothing, and leaves
// a row in the audit log.
func (s *Service) PaymentCallback(ctx context.Context, provider string, header map[string][]string, body []byte) error {
	ctx = core.WithOperation(ctx, "courses.PaymentCallback")
	p, err := s.provider(provider)
	if err != nil || p == nil || provider == "" {
		return ErrProviderNotFound
	}
	if len(body) > maxCallback {
		return ErrCallback
	}
	event, err := p.Callback(ctx, header, body)
	if err != nil {
		return err
	}
	if event.ID == "" || len(event.ID) > maxPaymentText || !core.ValidText(event.ID) {
		return ErrCallback.Withf("the event has no id of 1 to %d bytes", maxPaymentText)
	}
	_, err = s.settle(ctx, provider, event)
	return err
}

// withOrder runs fn under the locks of an order and of its course.
func (s *Service) withOrder(ctx context.Context, id uuid.UUID, by core.Actor, fn func(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order) error) (Order, error) {
	seen, err := s.store.OrderByID(ctx, id)
	if err != nil {
		return Order{}, err
	}
	var changed Order
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		seats, err := tx.SeatsForUpdate(ctx, seen.Slug)
		if err != nil {
			return err
		}
		o, err := tx.OrderForUpdate(ctx, id)
		if err != nil {
			return err
		}
		if o.Course != seats.Course {
			return core.ErrRetry.Withf("the course was renamed")
		}
		if err := fn(ctx, tx, s.trail(by), &seats, &o); err != nil {
			return err
		}
		changed = o
		return nil
	})
	return changed, err
}

// settle does what a provider says of the payment of an order, once an event. Without
// an id it is what the provider was asked for.
func (s *Service) settle(ctx context.Context, provider string, event PaymentEvent) (Order, error) {
	p := event.Payment
	return s.withOrder(ctx, p.Order, accounts.System, func(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order) error {
		if o.Provider != provider {
			return ErrOrderNotFound
		}
		mismatch := p.Amount != o.Total || p.ID == "" || len(p.ID) > maxPaymentText || o.Payment != "" && o.Payment != p.ID
		if event.ID == "" && mismatch { // it is audited once
			event.ID = fmt.Sprintf("asked/%s/%.80s/%s", p.Order, p.ID, p.Amount)
		}
		if event.ID != "" {
			added, err := tx.AddPaymentEvent(ctx, provider, event.ID, o.ID, t.at)
			if err != nil || !added {
				return err
			}
			if err := fault.Hit("courses.settle.after_event"); err != nil {
				return err
			}
		}
		if mismatch {
			return t.audit(ctx, tx, eventMismatch, o.subject(), map[string]any{
				"provider": provider, "payment": p.ID, "state": p.State, "amount": p.Amount, "expected": o.Total, "expected_payment": o.Payment,
			})
		}
		return s.follow(ctx, tx, t, seats, o, p)
	})
}

// follow brings an order to where its payment is.
func (s *Service) follow(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order, p Payment) error {
	known := o.Payment == p.ID && o.PayURL == p.URL
	open := o.Status == OrderPending || o.Status == OrderExpired
	o.Payment = p.ID
	switch {
	case p.State == PaymentPending && o.Status == OrderPending && !known:
		o.PayURL = p.URL
		return writeOrder(ctx, tx, o)
	case p.State == PaymentPaid && open:
		return s.paid(ctx, tx, t, seats, o)
	case p.State == PaymentFailed && o.Status == OrderPending:
		return s.expire(ctx, tx, t, seats, o, codeFailed)
	case p.State == PaymentFailed && o.Status == OrderExpired && o.Watched:
		o.Watched = false
		return writeOrder(ctx, tx, o)
	case p.State == PaymentRefunded && open: // before it was known to be paid: nor will it be taken any more
		if err := release(ctx, tx, o); err != nil {
			return err
		}
		return s.refunded(ctx, tx, t, seats, o, codeRefunded)
	case p.State == PaymentRefunded && o.Status == OrderPaid: // past us
		if err := s.takeBack(ctx, tx, t, seats, o); err != nil {
			return err
		}
		return s.refunded(ctx, tx, t, seats, o, codeRefunded)
	case p.State == PaymentRefunded && o.Status == OrderRefunding:
		return s.refunded(ctx, tx, t, seats, o, o.Code)
	}
	return nil
}

// paid takes the money of an order: its buyer is enrolled, or where that cannot be the
// money goes back.
func (s *Service) paid(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order) error {
	why, err := unwanted(ctx, tx, t, seats, o)
	if err != nil {
		return err
	}
	if why != "" {
		if err := release(ctx, tx, o); err != nil {
			return err
		}
		o.Status, o.Watched, o.Code, o.PaidAt, o.EndedAt = OrderRefunding, true, why, t.at, t.at
		return writeOrder(ctx, tx, o)
	}
	o.Status, o.Watched, o.Code, o.PaidAt, o.EndedAt = OrderPaid, false, "", t.at, time.Time{}
	if err := writeOrder(ctx, tx, o); err != nil {
		return err
	}
	return s.deliver(ctx, tx, t, seats, o)
}

// unwanted returns why the money of an order that is not paid yet cannot be taken, or
// nothing. The coupon of one that had expired is used again.
func unwanted(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order) (why string, err error) {
	learner, err := tx.LearnerOf(ctx, seats.Course, o.User)
	switch {
	case err != nil:
		return "", err
	case learner.Entitled, learner.Enrollment.Status.Seated():
		return codeEnrolled, nil
	case seats.Status != Published, seats.Teacher == o.User:
		return codeClosed, nil
	case o.Status != OrderExpired || o.Coupon == "":
		return "", nil
	}
	ok, err := tx.UseCoupon(ctx, o.Coupon, o.User, t.at)
	if err == nil && !ok {
		why = codeCoupon
	}
	return why, err
}

// deliver gives the buyer of an order that is paid the right to the course and a seat
// in it, or where the last one has gone a place on the waiting list.
func (s *Service) deliver(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order) error {
	if err := tx.SetEntitlement(ctx, Entitlement{
		Course: o.Course, User: o.User, Source: SourcePurchase, Order: o.ID, PricePaid: o.Total, At: t.at,
	}); err != nil {
		return err
	}
	if err := fault.Hit("courses.settle.after_right"); err != nil {
		return err
	}
	if _, err := s.seat(ctx, tx, t, seats, o.User, SourcePurchase, o.Total); err != nil {
		return err
	}
	return tx.Emit(ctx, t.ordered(EventOrderPaid, seats.Teacher, o))
}

// takeBack ends what deliver gave, and gives the use of the coupon back.
func (s *Service) takeBack(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order) error {
	learner, err := tx.LearnerOf(ctx, seats.Course, o.User)
	if err != nil {
		return err
	}
	if learner.Right.Order == o.ID {
		if _, err := tx.DeleteEntitlement(ctx, o.Course, o.User); err != nil {
			return err
		}
		if err := fault.Hit("courses.refund.after_right"); err != nil {
			return err
		}
	}
	// An import may have written another source.
	if e := learner.Enrollment; e.ID != 0 && (e.Source == SourcePurchase || learner.Right.Order == o.ID) {
		// Its lesson may just be completed, which is not under the course's lock.
		if e, err = tx.EnrollmentForUpdate(ctx, e.ID); err != nil {
			return err
		}
		if err := s.unseat(ctx, tx, t, seats, &e, Refunded); err != nil {
			return err
		}
	}
	return release(ctx, tx, o)
}

// expire gives a pending order up. Unless its provider has said the last word its payment
// may still be made, and is then asked for until it cannot be.
func (s *Service) expire(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order, code string) error {
	if err := release(ctx, tx, o); err != nil {
		return err
	}
	o.Status, o.Code, o.EndedAt = OrderExpired, code, t.at
	o.Watched = code != codeFailed && code != codeRefused
	if err := writeOrder(ctx, tx, o); err != nil {
		return err
	}
	return tx.Emit(ctx, t.ordered(EventOrderExpired, seats.Teacher, o))
}

// refunded ends an order whose money has gone back.
func (s *Service) refunded(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order, code string) error {
	o.Status, o.Watched, o.Code, o.EndedAt = OrderRefunded, false, code, t.at
	if err := writeOrder(ctx, tx, o); err != nil {
		return err
	}
	return tx.Emit(ctx, t.ordered(EventOrderRefunded, seats.Teacher, o))
}

// release gives back the use of the coupon that an order holds: one that is pending or
// paid.
func release(ctx context.Context, tx Tx, o *Order) error {
	if o.Coupon == "" || o.Status != OrderPending && o.Status != OrderPaid {
		return nil
	}
	if err := tx.ReleaseCoupon(ctx, o.Coupon, o.User); err != nil {
		return err
	}
	return fault.Hit("courses.order.after_release")
}

func writeOrder(ctx context.Context, tx Tx, o *Order) error {
	if err := tx.UpdateOrder(ctx, *o); err != nil {
		return err
	}
	o.Version++
	return fault.Hit("courses.settle.after_order")
}

// giveUp ends an order that is still pending.
func (s *Service) giveUp(ctx context.Context, id uuid.UUID, code string) (Order, error) {
	return s.withOrder(ctx, id, accounts.System, func(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order) error {
		if o.Status != OrderPending {
			return nil
		}
		return s.expire(ctx, tx, t, seats, o, code)
	})
}

// RefundOrder ends the access that a paid order gave, frees the seat, and gives the
// money back. Only an admin may. One that is refunded is returned as it is; one that
// never was paid is ErrOrderState. Where the provider is away the order is returned as
// it is, OrderRefunding: the access has ended, and the money follows.
func (s *Service) RefundOrder(ctx context.Context, by core.Actor, id uuid.UUID) (Order, error) {
	ctx = core.WithOperation(ctx, "courses.RefundOrder")
	if _, err := s.visibleOrder(ctx, by, id); err != nil {
		return Order{}, err
	}
	if !by.IsAdmin() {
		return Order{}, core.ErrForbidden
	}
	o, err := s.withOrder(ctx, id, by, func(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order) error {
		switch o.Status {
		case OrderRefunding, OrderRefunded:
			return nil
		case OrderPaid:
		default:
			return ErrOrderState.Withf("the order is %q: only one that is %q can be refunded", o.Status, OrderPaid)
		}
		if err := s.sendBack(ctx, tx, t, seats, o, codeByAdmin); err != nil {
			return err
		}
		return t.audit(ctx, tx, EventOrderRefunded, o.subject(), t.purchase(seats.Teacher, o))
	})
	if err != nil {
		return Order{}, err
	}
	if o.Status == OrderRefunding {
		// What fails now is done by SettleOrders.
		if done, err := s.payBack(ctx, o); err == nil {
			o = done
		}
	}
	return s.answerOrder(ctx, o)
}

// sendBack ends what a paid order gave and lets its money go back. SettleOrders asks the
// provider for that, unless somebody does before.
func (s *Service) sendBack(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order, code string) error {
	if err := s.takeBack(ctx, tx, t, seats, o); err != nil {
		return err
	}
	o.Status, o.Watched, o.Code, o.EndedAt = OrderRefunding, true, code, t.at
	if o.Total.Minor == 0 {
		return s.refunded(ctx, tx, t, seats, o, code)
	}
	return writeOrder(ctx, tx, o)
}

// giveBack sends the money back of a learner who has bought a course and gives up waiting
// for a seat in it, and returns the enrollment as it is then.
func (s *Service) giveBack(ctx context.Context, tx Tx, t trail, seats *Seats, l Learner) (Enrollment, error) {
	o, err := tx.OrderForUpdate(ctx, l.Right.Order)
	if err != nil {
		return Enrollment{}, err
	}
	if err := s.sendBack(ctx, tx, t, seats, &o, codeCancelled); err != nil {
		return Enrollment{}, err
	}
	return tx.EnrollmentByID(ctx, l.Enrollment.ID)
}

// payBack asks the provider of an order that is being refunded for the refund, outside
// any transaction, and ends the order.
func (s *Service) payBack(ctx context.Context, o Order) (Order, error) {
	provider, err := s.provider(o.Provider)
	if err != nil {
		return o, err
	}
	if err := fault.Hit("courses.refund.before_payment"); err != nil {
		return o, err
	}
	call, cancel := context.WithTimeout(ctx, paymentTime)
	defer cancel()
	if err := provider.Refund(call, Payment{ID: o.Payment, Order: o.ID, State: PaymentPaid, Amount: o.Total, URL: o.PayURL}); err != nil {
		return o, err
	}
	if err := fault.Hit("courses.refund.after_payment"); err != nil {
		return o, err
	}
	return s.withOrder(ctx, o.ID, accounts.System, func(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order) error {
		if o.Status != OrderRefunding {
			return nil
		}
		return s.refunded(ctx, tx, t, seats, o, o.Code)
	})
}
