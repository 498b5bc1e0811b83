package courses

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// The bounds of SettleOrders.
const (
	settleAfter = time.Minute // how long an order is left alone
	settleBatch = 50          // orders that are read together
	settleMost  = 500         // of one call
)

// SettleOrders asks the providers about the orders that have waited for a minute, and
// does what was interrupted: it starts payments that never began, takes what was paid,
// gives up orders whose time is over, and pays back what is being refunded. An order that
// still waits is looked at again when it is half as old again. It returns how many orders
// it has looked at, at most 500, and what has failed: such an order waits for the next
// call. It may run in several processes at once.
func (s *Service) SettleOrders(ctx context.Context) (looked int, err error) {
	ctx = core.WithOperation(ctx, "courses.SettleOrders")
	var failed []error
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

func (s *Service) touch(ctx context.Context, at time.Time, list ...Order) error {
	ids := make([]uuid.UUID, len(list))
	for i, o := range list {
		ids[i] = o.ID
	}
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.TouchOrders(ctx, at, ids...) })
}

// recover asks the provider about one order and does what follows.
func (s *Service) recover(ctx context.Context, o Order) error {
	if o.Status == OrderRefunding {
		_, err := s.payBack(ctx, o)
		return err
	}
	provider, err := s.provider(o.Provider)
	if err != nil {
		return err
	}
	over := !s.clock.Now().Before(o.ExpiresAt) // before it is asked: whatever is paid until then is taken
	call, cancel := context.WithTimeout(ctx, paymentTime)
	defer cancel()
	payment, err := provider.Find(call, o.ID)
	switch {
	case errors.Is(err, ErrPaymentNotFound) && !over:
		_, err := s.startPayment(ctx, o)
		return err
	case errors.Is(err, ErrPaymentNotFound):
	case err != nil:
		return away(err)
	default:
		if o, err = s.settle(ctx, o.Provider, PaymentEvent{Payment: payment}); err != nil {
			return err
		}
	}
	switch {
	case o.Status != OrderPending:
		return nil
	case over:
		_, err = s.giveUp(ctx, o.ID, codeExpired)
		return err
	}
	now := s.clock.Now()
	next := now.Add(now.Sub(o.CreatedAt)/2 - settleAfter)
	if last := o.ExpiresAt.Add(-settleAfter); next.After(last) {
		next = last
	}
	if next.Before(now) {
		return nil
	}
	return s.touch(ctx, next, o)
}
