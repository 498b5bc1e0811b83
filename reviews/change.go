package reviews

import (
	"context"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/fault"
)

// locked takes the locks of a change of a review, in their order, and returns what is
// stored.
func locked(ctx context.Context, tx Tx, before Review, ifVersion int64) (Stats, Review, error) {
	stats, err := tx.StatsForUpdate(ctx, before.Course)
	if err != nil {
		return Stats{}, Review{}, err
	}
	r, err := tx.ReviewForUpdate(ctx, before.ID)
	if err != nil {
		return Stats{}, Review{}, err
	}
	if ifVersion != 0 && ifVersion != r.Version {
		return Stats{}, Review{}, core.ErrVersion
	}
	return stats, r, fault.Hit("reviews.locked.after_lock")
}

// change lets do change a review under its locks, and answers with what do returns: with
// the course and, where it is known, the author that before names.
func (s *Service) change(ctx context.Context, by core.Actor, before Review, ifVersion int64,
	do func(ctx context.Context, tx Tx, stats Stats, was Review) (Review, error),
) (Review, error) {
	var changed Review
	err := s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		stats, was, err := locked(ctx, tx, before, ifVersion)
		if err != nil {
			return err
		}
		now, err := do(ctx, tx, stats, was)
		changed = now
		return err
	})
	if err != nil {
		return Review{}, err
	}
	changed.Slug, changed.Author = before.Slug, before.Author
	return s.answer(ctx, by, changed)
}

// write stores what has become of a review, keeps in its history what was, counts it as
// it is now, and emits the event.
func (t trail) write(ctx context.Context, tx Tx, stats Stats, was Review, now *Review, action Action, reason, event string) error {
	if err := tx.AddRevision(ctx, t.revision(was, action, reason)); err != nil {
		return err
	}
	if err := fault.Hit("reviews.write.after_history"); err != nil {
		return err
	}
	if err := t.update(ctx, tx, now); err != nil {
		return err
	}
	counted := stats
	if was.Status == Published {
		counted.count(was.Rating, -1)
	}
	if now.Status == Published {
		counted.count(now.Rating, 1)
	}
	if counted != stats {
		var heat courses.Heat
		switch {
		case was.Status != Published:
			heat = t.heat(now.CreatedAt)
		case now.Status != Published:
			heat = t.heat(was.CreatedAt).Back()
		}
		if err := t.rated(ctx, tx, counted, heat); err != nil {
			return err
		}
	}
	return t.changed(ctx, tx, event, now, Changed{Was: was.Status, Reason: reason})
}

// update stores a review, whose version grows.
func (t trail) update(ctx context.Context, tx Tx, r *Review) error {
	if err := tx.UpdateReview(ctx, *r); err != nil {
		return err
	}
	r.Version++
	return fault.Hit("reviews.update.after_update")
}

// revision is a review as it was before an action.
func (t trail) revision(was Review, action Action, reason string) Revision {
	return Revision{
		Review: was.ID, Course: was.Course, User: was.User, Action: action, Rating: was.Rating, Text: was.Text, Status: was.Status,
		Reason: reason, By: Person{ID: t.by.UserID}, At: t.at,
	}
}

// answer fills in what a Store does not know of a review that has just been committed.
// What is stored is not refused any more: where the names cannot be had it is
// core.ErrOutcomeUnknown, to look again.
func (s *Service) answer(ctx context.Context, by core.Actor, r Review) (Review, error) {
	list := []Review{r}
	if err := s.present(context.WithoutCancel(ctx), by, list); err != nil {
		return Review{}, core.ErrOutcomeUnknown.Because(err)
	}
	return list[0], nil
}
