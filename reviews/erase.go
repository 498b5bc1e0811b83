package reviews

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// eraseBatch is how many rows of a kind EraseUser removes in one transaction.
const eraseBatch = 200

// EraseUser removes all that a user has written: their reviews, as Delete does, what they
// have left on others, replies among it, the history of theirs, and the answers that are
// kept by idempotency keys. Only an admin may, and the user. It is many short
// transactions: interrupted, it is called again.
func (s *Service) EraseUser(ctx context.Context, by core.Actor, user core.UserID) error {
	ctx = core.WithOperation(ctx, "reviews.EraseUser")
	switch {
	case by.IsAnonymous():
		return core.ErrUnauthenticated
	case !by.IsAdmin() && by.UserID != user:
		return core.ErrForbidden
	}
	t := s.trail(by)
	if err := s.eraseReviews(ctx, t, user); err != nil {
		return err
	}
	detail, err := json.Marshal(map[string]core.UserID{"user": user})
	if err != nil {
		return core.ErrInternal.Because(err)
	}
	for left := true; left; {
		err := s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
			removed, err := forget(ctx, tx, user)
			left = removed > 0
			if err != nil || left {
				return err
			}
			return tx.Audit(ctx, core.AuditEntry{Actor: by.UserID, Action: "reviews.user_erased", Subject: "user/" + strconv.FormatInt(int64(user), 10), Detail: detail, At: t.at})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eraseReviews removes the reviews of a user, each in a transaction of its own.
func (s *Service) eraseReviews(ctx context.Context, t trail, user core.UserID) error {
	for {
		list, err := s.c.Store.Reviews(ctx, Query{User: user, Limit: eraseBatch})
		if err != nil || len(list) == 0 {
			return err
		}
		for _, r := range list {
			err := s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
				stats, was, err := locked(ctx, tx, r, 0)
				if err != nil {
					return err
				}
				return t.remove(ctx, tx, stats, was)
			})
			if err != nil && core.KindOf(err) != core.KindNotFound {
				return err
			}
		}
	}
}

// forget removes a batch of what is left of a user beside their reviews, and returns how
// much.
func forget(ctx context.Context, tx Tx, user core.UserID) (int, error) {
	removed, err := tx.ForgetUser(ctx, user, eraseBatch)
	if err == nil {
		err = fault.Hit("reviews.forget.after_rows")
	}
	for _, operation := range []string{keyCreate, keyComment} {
		if err != nil {
			break
		}
		var n int
		n, err = tx.ForgetScope(ctx, keysOf(operation, user), eraseBatch)
		removed += n
	}
	return removed, err
}
