package reviews

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/fault"
)

// Create adds the review of the actor on a course. It is published and counted at once,
// or Pending where Config.PreModerate, the Moderator or the end of the last one that the
// actor had of the course (HeldAgain) say so. Who may not review the
// course gets ErrNotEligible, who has reviewed it ErrReviewed. With a Key, the same input
// again gives the review that the first call made.
func (s *Service) Create(ctx context.Context, by core.Actor, course string, in New) (Review, error) {
	ctx = core.WithOperation(ctx, "reviews.Create")
	ref, err := s.c.Courses.Ref(ctx, by, course)
	if err != nil {
		return Review{}, err
	}
	if err := s.mayWrite(ctx, by); err != nil {
		return Review{}, err
	}
	in.Text = trimmed(in.Text)
	t := s.trail(by)
	key := s.key(by, keyCreate, int64(ref.ID), in.Key, in, t.at)
	r := Review{Course: ref.ID, User: by.UserID, Rating: in.Rating, Text: in.Text, CreatedAt: t.at, UpdatedAt: t.at}
	var found judgement
	refused := s.c.Validate.Struct(in)
	if refused == nil {
		found, refused = s.judge(ctx, by, ref, &r, t.at)
		r.Status, r.Reason, r.Trust = found.status, found.reason, found.trust
	}
	if refused != nil && key.Key == "" {
		return Review{}, refused
	}
	var made Review
	err = s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		made, err = core.Once(ctx, tx, key, func() (Review, error) {
			if refused != nil { // which is no answer to a key that has one
				return Review{}, refused
			}
			return s.insert(ctx, tx, t, r)
		})
		return err
	})
	if err != nil {
		return Review{}, err
	}
	made.Slug = ref.Slug
	if found.author.ID == 0 { // a key that has its answer, and is no longer eligible
		return s.answer(ctx, by, made)
	}
	masked(by, &made)
	made.Author = found.author
	return made, nil
}

// insert adds a review and counts it.
func (s *Service) insert(ctx context.Context, tx Tx, t trail, r Review) (Review, error) {
	stats, err := tx.StatsForUpdate(ctx, r.Course)
	if err != nil {
		return Review{}, err
	}
	held, err := heldAgain(ctx, tx, r)
	if err != nil {
		return Review{}, err
	}
	if held && r.Status == Published {
		r.Status, r.Reason = Pending, HeldAgain
	}
	list, err := tx.InsertReviews(ctx, r)
	if err != nil {
		return Review{}, err
	}
	if err := fault.Hit("reviews.create.after_insert"); err != nil {
		return Review{}, err
	}
	if r = list[0]; r.Status == Published {
		stats.count(r.Rating, 1)
		if err := t.rated(ctx, tx, stats, t.heat(r.CreatedAt)); err != nil {
			return Review{}, err
		}
	}
	return r, t.changed(ctx, tx, EventCreated, &r, Changed{})
}

// HeldAgain is why a review waits whose author has deleted one of the course that was not
// published, that was reported, or had it deleted by somebody else.
const HeldAgain = "again"

// heldAgain reports whether the last review that the author had of the course went in a
// way that another one must wait for an admin. Its caller holds the lock of the course's
// numbers, as who deletes does.
func heldAgain(ctx context.Context, tx Tx, r Review) (bool, error) {
	last, err := tx.Deleted(ctx, r.User, r.Course, 1)
	if err != nil || len(last) == 0 {
		return false, err
	}
	return last[0].Status != Published || last[0].Reason == HeldReported || last[0].By.ID != r.User, nil
}

// rated writes numbers that have changed, with what that does to the trend, and says so.
func (t trail) rated(ctx context.Context, tx Tx, stats Stats, heat courses.Heat) error {
	stats.Version++
	if err := tx.UpdateStats(ctx, stats, heat); err != nil {
		return err
	}
	if err := fault.Hit("reviews.rated.after_stats"); err != nil {
		return err
	}
	return tx.Emit(ctx, NewRated(stats, heat, t.by, t.at))
}

// mayWrite returns nil for who is signed in and has not written too much.
func (s *Service) mayWrite(ctx context.Context, by core.Actor) error {
	if err := signedIn(by); err != nil {
		return err
	}
	wait, err := s.c.Limiter.Take(ctx, core.Limit{Key: "reviews/" + strconv.FormatInt(int64(by.UserID), 10), Count: s.c.PerHour, Per: time.Hour})
	if err == nil && wait > 0 {
		err = ErrTooMany.After(wait)
	}
	return err
}

// The operations that take an idempotency key.
const (
	keyCreate  = "reviews.create"
	keyComment = "reviews.comment"
)

// keysOf is how the scopes of a user's keys of an operation begin.
func keysOf(operation string, user core.UserID) string {
	return operation + "/" + strconv.FormatInt(int64(user), 10) + "/"
}

// key is what a request is known by when it comes again.
func (s *Service) key(by core.Actor, operation string, about int64, key string, request any, at time.Time) core.IdempotencyKey {
	scope := keysOf(operation, by.UserID) + strconv.FormatInt(about, 10)
	return core.IdempotencyKey{Scope: scope, Key: key, Request: core.RequestHash(request), At: at}
}

// trimmed is a text as it is kept: with the line breaks of Unix, without white space at
// its ends.
func trimmed(text string) string { return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")) }

// judgement is what becomes of a review that its author writes or has changed.
type judgement struct {
	status Status
	reason string // why it is not published
	trust  int
	author Person
}

// judge looks at a review that its author writes or has changed, or fails with
// ErrNotEligible.
func (s *Service) judge(ctx context.Context, by core.Actor, course courses.Ref, r *Review, at time.Time) (judgement, error) {
	l, err := s.learner(ctx, course.ID, by.UserID)
	if err != nil {
		return judgement{}, err
	}
	if reasons := s.obstacles(by, course, l); len(reasons) > 0 {
		return judgement{}, notEligible(reasons)
	}
	recent, err := s.c.Store.Reviews(ctx, Query{User: by.UserID, Limit: MaxRecent + 1})
	if err != nil {
		return judgement{}, err
	}
	recent = slices.DeleteFunc(recent, func(other Review) bool { return other.ID == r.ID })
	deleted, err := s.c.Store.Deleted(ctx, by.UserID, 0, MaxRecent)
	if err != nil {
		return judgement{}, err
	}
	recent = withDeleted(recent, deleted)
	author, age, err := s.author(ctx, by.UserID, at)
	if err != nil {
		return judgement{}, err
	}
	verdict, err := s.c.Moderator.Check(ctx, Draft{Course: course.ID, User: by.UserID, Review: r.ID, Rating: r.Rating, Text: r.Text, At: at, Recent: recent})
	if err != nil {
		return judgement{}, err
	}
	j := judgement{status: Published, trust: Trust(l.Percent, age, since(recent, at.Add(-time.Hour))), author: author}
	switch {
	case verdict.Hold:
		j.status, j.reason = Pending, verdict.Reason
	case s.c.PreModerate:
		j.status, j.reason = Pending, HeldPolicy
	}
	return j, nil
}

// withDeleted adds reviews that their author has deleted, as if each were written when it
// was deleted, and leaves the latest MaxRecent.
func withDeleted(recent []Review, deleted []Revision) []Review {
	for _, d := range deleted {
		recent = append(recent, Review{
			ID: d.Review, Course: d.Course, User: d.User, Rating: d.Rating, Text: d.Text, Status: d.Status, CreatedAt: d.At, UpdatedAt: d.At,
		})
	}
	slices.SortStableFunc(recent, func(a, b Review) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return recent[:min(len(recent), MaxRecent)]
}

// author returns who writes, and how long they have had their account.
func (s *Service) author(ctx context.Context, user core.UserID, at time.Time) (Person, time.Duration, error) {
	found, err := s.c.Users.UsersByID(ctx, []core.UserID{user})
	if err != nil || len(found) == 0 {
		return Person{ID: user}, 0, err
	}
	return Person{ID: user, Username: found[0].Username, Name: found[0].Name()}, at.Sub(found[0].CreatedAt), nil
}

// Trust returns how far a review is to be trusted, 0 to 100: half the percentage that
// its author had done of the course, a point for each day that they had had their
// account, at most 30, and 20 less 5 for each other review that they wrote in the hour
// before.
func Trust(percent int, account time.Duration, burst int) int {
	days := int(account / (24 * time.Hour))
	return min(max(percent, 0), 100)/2 + min(max(days, 0), 30) + max(0, 20-5*max(burst, 0))
}

// Edit changes the review of the actor, who must be able to review the course still: one
// that they do not see any more is courses.ErrCourseNotFound. What
// was said before is kept in its history. A published review that the Moderator holds,
// and all where Config.PreModerate is set, become Pending; so does one that was Hidden or
// Rejected, and one that waits goes on waiting. An edit that changes nothing does nothing.
func (s *Service) Edit(ctx context.Context, by core.Actor, id ReviewID, in Change) (Review, error) {
	ctx = core.WithOperation(ctx, "reviews.Edit")
	before, course, err := s.visible(ctx, by, id)
	if err != nil {
		return Review{}, err
	}
	if err := s.mayWrite(ctx, by); err != nil {
		return Review{}, err
	}
	if !isAuthor(by, &before) {
		return Review{}, core.ErrForbidden
	}
	if !course.Visible {
		return Review{}, courses.ErrCourseNotFound
	}
	if err := s.c.Validate.Struct(in); err != nil {
		return Review{}, err
	}
	t := s.trail(by)
	draft := in.apply(before)
	found, err := s.judge(ctx, by, course, &draft, t.at)
	if err != nil {
		return Review{}, err
	}
	return s.change(ctx, by, before, in.IfVersion, func(ctx context.Context, tx Tx, stats Stats, was Review) (Review, error) {
		now := in.apply(was)
		if now.Rating == was.Rating && now.Text == was.Text {
			return was, nil
		}
		now.Status, now.Reason = edited(was, found.status, found.reason)
		now.Trust, now.UpdatedAt = found.trust, t.at
		return now, t.write(ctx, tx, stats, was, &now, Edit, "", EventEdited)
	})
}

func (in Change) apply(r Review) Review {
	if in.Rating != nil {
		r.Rating = *in.Rating
	}
	if in.Text != nil {
		r.Text = trimmed(*in.Text)
	}
	return r
}

// HeldEdited is why a review waits that was hidden or rejected, and has been changed.
const HeldEdited = "edited"

// edited returns what an edit makes of a status: no edit publishes what an admin or
// reports of abuse have taken away.
func edited(was Review, status Status, reason string) (Status, string) {
	switch {
	case status == Pending || was.Status == Published:
		return status, reason
	case was.Status == Pending:
		return Pending, was.Reason
	}
	return Pending, HeldEdited
}

// Delete removes the review of the actor, or as an admin any; its history stays. Its
// author may review the course again, which may have to wait: HeldAgain.
func (s *Service) Delete(ctx context.Context, by core.Actor, id ReviewID, ifVersion int64) error {
	ctx = core.WithOperation(ctx, "reviews.Delete")
	before, _, err := s.visible(ctx, by, id)
	if err != nil {
		return err
	}
	switch {
	case by.IsAnonymous():
		return core.ErrUnauthenticated
	case !isAuthor(by, &before) && !by.IsAdmin():
		return core.ErrForbidden
	}
	t := s.trail(by)
	return s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		stats, was, err := locked(ctx, tx, before, ifVersion)
		if err != nil {
			return err
		}
		return t.remove(ctx, tx, stats, was)
	})
}

// remove deletes a review, whose lock its caller holds, and no longer counts it.
func (t trail) remove(ctx context.Context, tx Tx, stats Stats, was Review) error {
	reason := ""
	if was.Reports > 0 {
		reason = HeldReported
	}
	if err := tx.AddRevision(ctx, t.revision(was, Delete, reason)); err != nil {
		return err
	}
	if err := tx.DeleteReview(ctx, was.ID); err != nil {
		return err
	}
	if err := fault.Hit("reviews.delete.after_delete"); err != nil {
		return err
	}
	if was.Status == Published {
		stats.count(was.Rating, -1)
		if err := t.rated(ctx, tx, stats, t.heat(was.CreatedAt).Back()); err != nil {
			return err
		}
	}
	return t.changed(ctx, tx, EventDeleted, &was, Changed{})
}
