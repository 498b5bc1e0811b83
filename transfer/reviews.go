package transfer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
)

type opinion struct {
	course, user string
	rating       int
	text         string
	created      time.Time
	status       reviews.Status
}

const (
	reviewCourse = iota
	reviewUser
	reviewRating
	reviewText
	reviewCreated
	reviewStatus
)

// opinions reads reviews.csv. Nobody's right to review is asked for: not a seat, nor
// whose course it is. An empty created_at or status leaves what is stored; of a new review
// they are the time of the import and published.
type opinions struct {
	store    reviews.Store
	courses  courses.Reader
	accounts accounts.Reader
	clock    core.Clock
	actor    core.Actor
}

func newOpinions(backend *storage.Backend, o *Options) *opinions {
	return &opinions{backend.Reviews, backend.Courses, backend.Accounts, o.Clock, o.Actor}
}

func (t *opinions) columns() []column {
	return []column{{"course", true}, {"user", true}, {"rating", true}, {"text", true}, {"created_at", true}, {"status", false}}
}

func (t *opinions) parse(c *cells) opinion {
	row := opinion{
		course:  c.reference(reviewCourse),
		user:    c.reference(reviewUser),
		rating:  c.number(reviewRating, reviews.MinRating),
		text:    strings.TrimSpace(c.raw(reviewText)),
		created: c.time(reviewCreated),
	}
	if row.rating > reviews.MaxRating {
		c.refuse(reviewRating, "%d is more than %d", row.rating, reviews.MaxRating)
	}
	if utf8.RuneCountInString(row.text) > reviews.MaxText {
		c.refuse(reviewText, "longer than %d characters", reviews.MaxText)
	}
	if c.raw(reviewStatus) != "" {
		row.status = oneOf(c, reviewStatus, reviews.Statuses[:]...)
	}
	return row
}

type reviewKey struct{ course, user string }

func (t *opinions) repeated(r *opinion, seen *keySet) string {
	if !addKey(seen, reviewKey{r.course, core.Fold(r.user)}) {
		return "user"
	}
	return ""
}

func (t *opinions) plan(ctx context.Context, rows []row[opinion], refuse refuseFunc) (changes, error) {
	if len(rows) == 0 {
		return changes{}, nil
	}
	known, err := t.courses.CourseIDs(ctx, distinct(rows, func(r *opinion) string { return r.course }))
	if err != nil {
		return changes{}, err
	}
	users, err := usersNamed(ctx, t.accounts, distinct(rows, func(r *opinion) string { return r.user }))
	if err != nil {
		return changes{}, err
	}
	pairs, places := make([]reviews.Pair, 0, len(rows)), make([]int, 0, len(rows))
	for i := range rows {
		r := &rows[i].cell
		p := reviews.Pair{Course: known[r.course], User: users[core.Fold(r.user)].ID}
		switch {
		case p.Course == 0:
			refuse(i, "course", "there is no course "+quote(r.course))
		case p.User == 0:
			refuse(i, "user", "there is no user "+quote(r.user))
		default:
			pairs, places = append(pairs, p), append(places, i)
		}
	}
	found, err := t.store.ReviewsOf(ctx, pairs)
	if err != nil {
		return changes{}, err
	}
	stored := indexBy(found, pairOf)
	now := core.Time(t.clock.Now())
	var inserts, updates, before []reviews.Review
	for k, p := range pairs {
		was, there := stored[p]
		next := rows[places[k]].cell.over(was, p, now)
		switch {
		case !there:
			inserts = append(inserts, next)
		case next != was:
			updates, before = append(updates, next), append(before, was)
		}
	}
	// By course, as most indexes begin; of one course as in the file.
	slices.SortStableFunc(inserts, func(a, b reviews.Review) int { return cmp.Compare(a.Course, b.Course) })
	return changes{len(inserts), len(updates), func(ctx context.Context) error {
		return t.write(ctx, inserts, updates, before, now)
	}}, nil
}

func pairOf(r reviews.Review) reviews.Pair { return reviews.Pair{Course: r.Course, User: r.User} }

// over returns r with the cells of the row.
func (o *opinion) over(r reviews.Review, of reviews.Pair, now time.Time) reviews.Review {
	isNew := r.ID == 0
	if isNew {
		r = reviews.Review{Course: of.Course, User: of.User, Status: reviews.Published, CreatedAt: now}
	}
	if !o.created.IsZero() {
		r.CreatedAt = o.created
	}
	if o.status != "" && o.status != r.Status {
		r.Status, r.Reason = o.status, ""
	}
	switch {
	case isNew:
		r.UpdatedAt = r.CreatedAt
	case o.rating != r.Rating || o.text != r.Text:
		r.UpdatedAt = now
	}
	r.Rating, r.Text = o.rating, o.text
	return r
}

// write writes a batch under the locks of its courses' numbers, where the reviews are as
// they were planned with; else it fails with core.ErrConflict. It counts the numbers once.
func (t *opinions) write(ctx context.Context, inserts, updates, before []reviews.Review, now time.Time) error {
	var ids []courses.CourseID
	for _, list := range [...][]reviews.Review{inserts, updates} {
		for i := range list {
			ids = append(ids, list[i].Course)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	pairs, history := make([]reviews.Pair, len(before)), make([]reviews.Revision, len(before))
	for i, was := range before {
		pairs[i] = pairOf(was)
		history[i] = reviews.Revision{
			Review: was.ID, Course: was.Course, User: was.User, Action: reviews.Edit, Rating: was.Rating, Text: was.Text, Status: was.Status,
			By: reviews.Person{ID: t.actor.UserID}, At: now,
		}
	}
	return t.store.Update(ctx, func(ctx context.Context, tx reviews.Tx) error {
		if err := tx.LockStats(ctx, ids); err != nil {
			return err
		}
		// Whatever changes what a review says takes that lock too.
		present, err := tx.ReviewsOf(ctx, pairs)
		if err != nil {
			return err
		}
		as := indexBy(present, pairOf)
		for _, was := range before {
			if is := as[pairOf(was)]; is.ID != was.ID || is.Version != was.Version {
				return errChanged
			}
		}
		if _, err := tx.InsertReviews(ctx, inserts...); err != nil {
			return err
		}
		if err := tx.AddRevision(ctx, history...); err != nil {
			return err
		}
		if err := tx.UpdateReviews(ctx, updates); err != nil {
			return err
		}
		counted, err := tx.RecountStats(ctx, ids)
		if err != nil {
			return err
		}
		rated := make([]core.Event, len(counted))
		for i, stats := range counted {
			rated[i] = reviews.NewRated(stats, courses.Heat{}, t.actor, now)
		}
		return tx.Emit(ctx, rated...)
	})
}

func (t *opinions) finish(ctx context.Context, event *core.Event) error {
	if event == nil {
		return nil
	}
	return t.store.Update(ctx, func(ctx context.Context, tx reviews.Tx) error { return tx.Emit(ctx, *event) })
}

// exportOpinions writes reviews by the course's slug, status and time: a page of courses,
// then pages of their reviews.
func exportOpinions(ctx context.Context, e *exporter, out *sheet) error {
	if err := out.header("course", "user", "rating", "text", "created_at", "status"); err != nil {
		return err
	}
	return e.courses(ctx, func(list []courses.Course) error {
		ids, slugs := make([]courses.CourseID, len(list)), make(map[courses.CourseID]string, len(list))
		for i := range list {
			ids[i], slugs[list[i].ID] = list[i].ID, list[i].Slug
		}
		return pages(ctx, exportReviews, func(ctx context.Context, last *reviews.Review, limit int) ([]reviews.Review, error) {
			rest, after := ids, reviews.Place{}
			if last != nil {
				rest, after = ids[slices.Index(ids, last.Course):], reviews.PlaceOf(last)
			}
			return e.backend.Reviews.ReviewsAfter(ctx, rest, after, limit)
		}, func(list []reviews.Review) error {
			authors := make([]core.UserID, len(list))
			for i := range list {
				authors[i] = list[i].User
			}
			names, err := e.usernames(ctx, authors)
			if err != nil {
				return err
			}
			return rowByRow(func(r *reviews.Review) error {
				return out.row(slugs[r.Course], names[r.User], fmt.Sprint(r.Rating), r.Text, moment(r.CreatedAt), string(r.Status))
			})(list)
		})
	})
}
