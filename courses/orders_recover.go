package courses

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
)

// The bounds of SettleOrders.
const (
	settleAfter = time.Minute // how long an order is left alone
	settleBatch = 50          // orders that are read together
	settleMost  = 500         // of one call
	// settleGrace is how long after its time the payment of an order is still asked for:
	// a provider takes none that begins later, but may be slow to say what has become of
	// one that began before.
	settleGrace  = time.Hour
	settleLatest = 24 * time.Hour // after an order was looked at it is looked at again
)

// SettleOrders asks the providers about the orders that have waited for a minute, and
// does what was interrupted: it starts payments that never began, takes what was paid,
// gives up orders whose time is over, and pays back what is being refunded. Those that were
// given up are asked about until nobody can pay them any more. What still waits is looked at
// again when it is half as old again, a refund that fails too.
//
// An order whose provider is not configured any more is given up an hour after its time,
// when no payment of it can be open; one that is being refunded stays, and each look at it
// fails with an error that names the provider.
//
// Who has paid and waits for a seat of a course that is archived will not get one: their
// enrollment is Refunded, and the money goes back, of at most 500 a call.
//
// It returns how many orders it has looked at, at most 500, and what has failed: such an
// order waits for a later call. It may run in several processes at once.
func (s *Service) SettleOrders(ctx context.Context) (looked int, err error) {
	ctx = core.WithOperation(ctx, "courses.SettleOrders")
	var failed []error
	if err := s.refundStranded(ctx); err != nil {
		failed = append(failed, err)
	}
	for looked < settleMost && ctx.Err() == nil {
		now := s.clock.Now()
		batch, err := s.store.UnsettledOrders(ctx, now.Add(-settleAfter), settleBatch)
		if err != nil || len(batch) == 0 {
			return looked, errors.Join(append(failed, err)...)
		}
		// So that one which fails, or kills the process, does not keep the others waiting.
		if err := s.touch(ctx, now, batch...); err != nil {
			return looked, errors.Join(append(failed, err)...)
		}
		for _, o := range batch {
			if err := s.recover(ctx, o); err != nil {
				failed = append(failed, fmt.Errorf("order %s: %w", o.ID, err))
			}
		}
		looked += len(batch)
	}
	return looked, errors.Join(append(failed, ctx.Err())...)
}

// refundStranded ends the orders of those who have paid for a seat that they will not
// get. Each is a transaction, so that a call which is interrupted is gone on with by the
// next one; the money is sent back as that of any order which is being refunded.
func (s *Service) refundStranded(ctx context.Context) error {
	list, err := s.store.StrandedOrders(ctx, settleMost)
	if err != nil {
		return err
	}
	var failed []error
	for _, stranded := range list {
		_, err := s.withOrder(ctx, stranded.ID, accounts.System, func(ctx context.Context, tx Tx, t trail, seats *Seats, o *Order) error {
			learner, err := tx.LearnerOf(ctx, seats.Course, o.User)
			if err != nil || seats.Status != Archived || learner.Enrollment.Status != Waiting || learner.Right.Order != o.ID {
				return err // it has changed since
			}
			return s.sendBack(ctx, tx, t, seats, o, codeClosed)
		})
		if err != nil {
			failed = append(failed, fmt.Errorf("order %s: %w", stranded.ID, err))
		}
	}
	return errors.Join(failed...)
}

func (s *Service) touch(ctx context.Context, at time.Time, list ...Order) error {
	ids := make([]uuid.UUID, len(list))
	for i, o := range list {
		ids[i] = o.ID
	}
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.TouchOrders(ctx, at, ids...) })
}

// recover asks the provider about one order and does what follows.
func (s *Service) recover(ctx context.Context, o Order) error {
	now := s.clock.Now() // before it is asked: whatever is paid until then is taken
	provider, err := s.providerOf(o)
	switch {
	case err != nil && o.Status != OrderRefunding && !now.Before(o.ExpiresAt.Add(settleGrace)):
		return s.lookAgain(ctx, o, now) // nobody says any more that it was paid
	case err != nil:
		return errors.Join(err, s.later(ctx, o, now))
	case o.Status == OrderRefunding:
		if _, err := s.payBack(ctx, o); err != nil {
			return errors.Join(err, s.later(ctx, o, now))
		}
		return nil
	}
	payment, err := provider.Find(ctx, o.ID)
	switch {
	case errors.Is(err, ErrPaymentNotFound) && o.Status == OrderPending && now.Before(o.ExpiresAt):
		_, err := s.startPayment(ctx, o)
		return err
	case errors.Is(err, ErrPaymentNotFound):
	case err != nil:
		return away(err)
	default:
		if err := checkAnswer(payment, o); err != nil {
			return errors.Join(err, s.later(ctx, o, now))
		}
		if o, err = s.settle(ctx, o.Provider, PaymentEvent{Payment: payment}); err != nil {
			return err
		}
	}
	return s.lookAgain(ctx, o, now)
}

// lookAgain says when an order whose payment is open is looked at next, gives it up when
// its time is over, and leaves it when nobody can pay it any more.
func (s *Service) lookAgain(ctx context.Context, o Order, now time.Time) error {
	switch {
	case o.Status == OrderPending && !now.Before(o.ExpiresAt):
		_, err := s.giveUp(ctx, o.ID, codeExpired)
		return err
	case o.Status == OrderPending:
	case o.Status != OrderExpired || !o.Watched:
		return nil
	case !now.Before(o.ExpiresAt.Add(settleGrace)):
		return s.leave(ctx, o.ID)
	}
	return s.later(ctx, o, now)
}

// later has an order looked at next when it, or its refund, is half as old again: within
// a day, and at the ends of its time and of the grace.
func (s *Service) later(ctx context.Context, o Order, now time.Time) error {
	since := o.CreatedAt
	if o.Status == OrderRefunding {
		since = o.EndedAt
	}
	next := now.Add(min(now.Sub(since)/2, settleLatest))
	for _, end := range [...]time.Time{o.ExpiresAt, o.ExpiresAt.Add(settleGrace)} {
		if now.Before(end) && next.After(end) {
			next = end
		}
	}
	if next = next.Add(-settleAfter); next.Before(now) {
		return nil
	}
	return s.touch(ctx, next, o)
}

// leave ends the watch over an order that was given up.
func (s *Service) leave(ctx context.Context, id uuid.UUID) error {
	_, err := s.withOrder(ctx, id, accounts.System, func(ctx context.Context, tx Tx, _ trail, _ *Seats, o *Order) error {
		if o.Status != OrderExpired {
			return nil
		}
		o.Watched = false
		return writeOrder(ctx, tx, o)
	})
	return err
}
