package reviews

import (
	"context"
	"slices"
	"strconv"

	"github.com/ustat/ustat/core"
)

// decisions is the status machine of moderation: what an action makes, of which
// statuses. Anything else is ErrTransition.
var decisions = map[Action]struct {
	from []Status
	to   Status
}{
	Approve: {[]Status{Pending, Hidden, Rejected}, Published},
	Hide:    {[]Status{Published, Pending}, Hidden},
	Reject:  {[]Status{Pending}, Rejected},
}

// Moderate decides on a review: Approve, Hide or Reject, the latter two with a reason that
// its author reads. Reports of abuse on it are handled by that: who has reported it does
// not do so again. Only an admin may. An action that does not follow from the status is
// ErrTransition.
func (s *Service) Moderate(ctx context.Context, by core.Actor, id ReviewID, in Decision) (Review, error) {
	ctx = core.WithOperation(ctx, "reviews.Moderate")
	if err := by.RequireAdmin(); err != nil {
		return Review{}, err
	}
	before, _, err := s.visible(ctx, by, id)
	if err != nil {
		return Review{}, err
	}
	in.Reason = trimmed(in.Reason)
	if err := s.c.Validate.Struct(in); err != nil {
		return Review{}, err
	}
	t, decision := s.trail(by), decisions[in.Action]
	return s.change(ctx, by, before, in.IfVersion, func(ctx context.Context, tx Tx, stats Stats, was Review) (Review, error) {
		if !slices.Contains(decision.from, was.Status) {
			return Review{}, ErrTransition.Withf("the review is %q, which %q does not apply to", was.Status, in.Action)
		}
		now := was
		now.Status, now.Reason, now.Reports = decision.to, in.Reason, 0
		if decision.to == Published {
			now.Reason = ""
		}
		if err := tx.HandleReports(ctx, was.ID); err != nil {
			return Review{}, err
		}
		return now, t.write(ctx, tx, stats, was, &now, in.Action, in.Reason, EventModerated)
	})
}

// History returns a page of what a review was before each change, the newest first, also
// of one that is deleted. Only an admin may. Two statements.
func (s *Service) History(ctx context.Context, by core.Actor, id ReviewID, page core.Page) (Page[Revision], error) {
	ctx = core.WithOperation(ctx, "reviews.History")
	if err := by.RequireAdmin(); err != nil {
		return Page[Revision]{}, err
	}
	found, err := core.ReadPage(s.c.Cursors, "reviews.history/"+strconv.FormatInt(int64(id), 10), page, func(before int64, limit int) ([]Revision, error) {
		return s.c.Store.History(ctx, id, before, limit)
	}, func(r Revision) int64 { return r.ID })
	if err != nil {
		return Page[Revision]{}, err
	}
	people := make([]*Person, len(found.Items))
	for i := range found.Items {
		people[i] = &found.Items[i].By
	}
	return found, s.name(ctx, people)
}

// HeldReported is why a review waits that was reported by as many as
// Config.ReportThreshold.
const HeldReported = "reported"

// Report says that a published review of somebody else is abusive. As many reports as
// Config.ReportThreshold that no admin has looked at make it Pending. A second report of
// one user on one review is taken and counts for nothing. The course's side does not
// report: ErrOwnCourse.
func (s *Service) Report(ctx context.Context, by core.Actor, id ReviewID, in NewReport) error {
	ctx = core.WithOperation(ctx, "reviews.Report")
	before, err := s.judges(ctx, by, id)
	if err != nil {
		return err
	}
	if err := s.mayWrite(ctx, by); err != nil {
		return err
	}
	in.Note = trimmed(in.Note)
	if err := s.c.Validate.Struct(in); err != nil {
		return err
	}
	t := s.trail(by)
	return s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		stats, was, err := locked(ctx, tx, before, 0)
		if err != nil {
			return err
		}
		if err := isShown(&was); err != nil {
			return err
		}
		added, err := tx.InsertReport(ctx, Report{Review: was.ID, User: by.UserID, Reason: in.Reason, Note: in.Note, At: t.at})
		if err != nil || !added || was.Reports+1 < s.c.ReportThreshold {
			return err
		}
		now := was
		now.Status, now.Reason = Pending, HeldReported
		return t.write(ctx, tx, stats, was, &now, Requeue, HeldReported, EventReported)
	})
}

// Reports returns a page of the reports of abuse on a review, in any fixed order. Only an
// admin may. Two statements.
func (s *Service) Reports(ctx context.Context, by core.Actor, id ReviewID, page core.Page) (Page[Report], error) {
	ctx = core.WithOperation(ctx, "reviews.Reports")
	if err := by.RequireAdmin(); err != nil {
		return Page[Report]{}, err
	}
	found, err := core.ReadPage(s.c.Cursors, "reviews.reports/"+strconv.FormatInt(int64(id), 10), page, func(after core.UserID, limit int) ([]Report, error) {
		return s.c.Store.Reports(ctx, id, after, limit)
	}, func(r Report) core.UserID { return r.User })
	if err != nil {
		return Page[Report]{}, err
	}
	people := make([]*Person, len(found.Items))
	for i := range found.Items {
		found.Items[i].By.ID = found.Items[i].User
		people[i] = &found.Items[i].By
	}
	return found, s.name(ctx, people)
}
