package ustat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/transfer"
)

// TrackingTask is the name of the subscriber by which what happens in courses and reviews
// becomes events of analytics, each once. AnnounceTask is that of the one that emits
// analytics.EventUpdated. RebuildTask is that of the one that begins to track what was
// imported, and of the jobs that go on with it.
const (
	TrackingTask = "ustat.analytics"
	AnnounceTask = "ustat.analytics_updates"
	RebuildTask  = "ustat.analytics_rebuild"
)

// trackedAs are the events of the domains that are tracked.
var trackedAs = map[string]analytics.Type{
	courses.EventEnrolled:        analytics.Enroll,
	courses.EventPromoted:        analytics.Enroll,
	courses.EventLessonCompleted: analytics.LessonComplete,
	courses.EventCompleted:       analytics.CourseComplete,
	courses.EventBookmarked:      analytics.Bookmark,
	courses.EventOrderPaid:       analytics.Purchase,
	courses.EventOrderRefunded:   analytics.Refund,
	reviews.EventCreated:         analytics.Review,
}

// subscribeAnalytics subscribes what brings events of the domains to analytics.
func (p *Platform) subscribeAnalytics() error {
	if p.router == nil {
		return nil
	}
	var types []string
	for typ := range trackedAs {
		types = append(types, typ)
	}
	slices.Sort(types)
	return errors.Join(
		p.Subscribe(tasks.Subscription{Name: TrackingTask, Types: types, Handle: p.track}),
		p.Subscribe(tasks.Subscription{Name: AnnounceTask, Types: types, Handle: p.announce}),
		p.Subscribe(tasks.Subscription{Name: RebuildTask, Types: []string{transfer.EventImported}, Handle: p.imported}),
		tasks.Register(p.Tasks, rebuildKind, p.rebuild),
	)
}

// happened is what the payloads of tracked events have in common, and what some have.
type happened struct {
	Course     courses.CourseID     `json:"course"`
	User       core.UserID          `json:"user"`
	Enrollment courses.EnrollmentID `json:"enrollment"`
	Lesson     courses.LessonID     `json:"lesson"`
	Total      core.Money           `json:"total"`
	Review     reviews.ReviewID     `json:"review"`
}

// event returns what is tracked of an event: the same, with the same identity, however
// often it is delivered. What an import can bring too is named by its row, and all else by
// the event.
func (h happened) event(typ analytics.Type, id uuid.UUID, at time.Time) analytics.Event {
	out := analytics.Event{ID: id, Type: typ, Course: h.Course, User: h.User, OccurredAt: at}
	switch typ {
	case analytics.LessonComplete:
		out.Lesson = h.Lesson
		out.ID = rowID(typ, int64(h.Enrollment), int64(h.Lesson))
	case analytics.Enroll, analytics.CourseComplete:
		out.ID = rowID(typ, int64(h.Enrollment))
	case analytics.Review:
		out.ID = rowID(typ, int64(h.Review))
	case analytics.Purchase, analytics.Refund:
		out.Amount = h.Total
	}
	return out
}

// rows is the space of names of rows, for ever.
var rows = uuid.MustParse("5d0d9ee9-3a3a-4d0e-9a7c-6f0f4f1f9b52")

// rowID is the id of the event of a row.
func rowID(typ analytics.Type, ids ...int64) uuid.UUID {
	name := []byte(typ)
	for _, id := range ids {
		name = strconv.AppendInt(append(name, '/'), id, 10)
	}
	return uuid.NewSHA1(rows, name)
}

// track is the job of an event that is tracked.
func (p *Platform) track(ctx context.Context, e core.Event) error {
	var h happened
	if err := json.Unmarshal(e.Payload, &h); err != nil {
		return tasks.Discard(err)
	}
	return p.trackAll(core.WithOperation(ctx, TrackingTask), []analytics.Event{h.event(trackedAs[e.Type], e.ID, e.At)})
}

// trackAll tracks events. What analytics never take, as what happened before
// analytics.Earliest or in months that were removed, is logged. Where a shard is away, or
// its schema or the map of shards does not fit yet, it is to be tried again, as often as it
// takes.
func (p *Platform) trackAll(ctx context.Context, events []analytics.Event) error {
	for part := range slices.Chunk(events, analytics.MaxTrack) {
		result, _ := p.Analytics.Track(ctx, analytics.Durable, part...) // the errors are in the result
		for _, r := range result.Refused {
			switch kind := core.KindOf(r.Err); {
			case kind == core.KindInvalid, errors.Is(r.Err, analytics.ErrPruned):
				p.config.Logger.WarnContext(ctx, "analytics do not take an event", "type", part[r.Index].Type, "course", part[r.Index].Course, "error", r.Err)
			case kind == core.KindUnavailable, kind == core.KindFailedPrecondition:
				return tasks.Later(away)
			default:
				return r.Err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// away is how long a job waits for a shard that does not answer.
const away = 10 * time.Second

// announce is the job of an event of which analytics.EventUpdated tells: once for all
// that happen in a course in one window, when that is over.
func (p *Platform) announce(ctx context.Context, e core.Event) error {
	ctx = core.WithOperation(ctx, AnnounceTask)
	var h happened
	if err := json.Unmarshal(e.Payload, &h); err != nil {
		return tasks.Discard(err)
	}
	now, window := p.config.Clock.Now(), e.At.Truncate(analytics.UpdateEvery).Add(analytics.UpdateEvery)
	if wait := window.Sub(now); wait > 0 && wait <= analytics.UpdateEvery { // more is another clock, for which nothing waits
		return tasks.Later(wait)
	}
	refs, err := p.Courses.Refs(ctx, accounts.System, []courses.CourseID{h.Course})
	ref, there := refs[h.Course]
	if err != nil || !there {
		return err
	}
	course := strconv.FormatInt(int64(ref.ID), 10)
	return p.once(ctx, AnnounceTask+"/"+course, window.UTC().Format(time.RFC3339), func(ctx context.Context, tx courses.Tx) error {
		return tx.Emit(ctx, core.NewEvent(analytics.EventUpdated, "course/"+course, core.Actor{}, now,
			analytics.Updated{Course: ref.ID, Slug: ref.Slug, Teacher: ref.Teacher, At: core.Time(window)}))
	})
}

// once runs do in a transaction of courses, once for a key.
func (p *Platform) once(ctx context.Context, scope, key string, do func(ctx context.Context, tx courses.Tx) error) error {
	return p.backend.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		_, err := core.Once(ctx, tx, core.IdempotencyKey{Scope: scope, Key: key, Request: core.RequestHash(key), At: p.config.Clock.Now()},
			func() (bool, error) { return true, do(ctx, tx) })
		return err
	})
}

// rebuildFrom says where the tracking of what was imported goes on.
type rebuildFrom struct {
	Reviews bool                    `json:"reviews,omitempty"` // else the enrollments
	After   courses.EnrollmentPlace `json:"after,omitzero"`
	Course  string                  `json:"course,omitempty"` // slug, of reviews: behind it
}

var rebuildKind = tasks.Kind[rebuildFrom]{Name: RebuildTask, Timeout: 10 * time.Minute}

// How much a job of a rebuild does, and how much of it is in memory at once.
const (
	rebuildPages       = 20
	rebuildEnrollments = 100
	rebuildCourses     = 50
	rebuildReviews     = 1000
)

// imported is the job of a file that was imported: what it may have brought is tracked.
func (p *Platform) imported(ctx context.Context, e core.Event) error {
	var done transfer.Imported
	if err := json.Unmarshal(e.Payload, &done); err != nil {
		return tasks.Discard(err)
	}
	switch done.File {
	case "enrollments.csv", "progress.csv":
		return p.askRebuild(ctx, e.ID.String(), rebuildFrom{})
	case "reviews.csv":
		return p.askRebuild(ctx, e.ID.String(), rebuildFrom{Reviews: true})
	}
	return nil
}

// askRebuild asks for the next job, once for a key.
func (p *Platform) askRebuild(ctx context.Context, key string, from rebuildFrom) error {
	return p.once(core.WithOperation(ctx, RebuildTask), RebuildTask, key, func(ctx context.Context, tx courses.Tx) error {
		return tasks.Ask(ctx, tx, rebuildKind, from)
	})
}

// rebuild tracks some pages of rows, each as the event by which it came would be, and
// asks for a job that goes on behind them. What was tracked before is a duplicate.
func (p *Platform) rebuild(ctx context.Context, from rebuildFrom, job tasks.Job) error {
	ctx = core.WithOperation(ctx, RebuildTask)
	page := p.rebuildLearning
	if from.Reviews {
		page = p.rebuildReviews
	}
	for range rebuildPages {
		more, err := page(ctx, &from)
		if err != nil || !more {
			return err
		}
	}
	return p.askRebuild(ctx, job.Key, from)
}

// rebuildLearning tracks a page of enrollments with what was completed in them.
func (p *Platform) rebuildLearning(ctx context.Context, from *rebuildFrom) (more bool, err error) {
	list, err := p.backend.Courses.EnrollmentsAfter(ctx, from.After, rebuildEnrollments)
	if err != nil || len(list) == 0 {
		return false, err
	}
	var events []analytics.Event
	ids, by := make([]courses.EnrollmentID, len(list)), make(map[courses.EnrollmentID]happened, len(list))
	for i, e := range list {
		h := happened{Course: e.Course, User: e.User, Enrollment: e.ID, Total: e.PricePaid}
		ids[i], by[e.ID] = e.ID, h
		events = append(events, learnt(e, h)...)
	}
	err = p.backend.Courses.ProgressOf(ctx, ids, func(_ courses.Place, done courses.LessonProgress) error {
		h := by[done.Enrollment]
		h.Lesson = done.Lesson
		events = append(events, h.event(analytics.LessonComplete, uuid.Nil, done.CompletedAt))
		return nil
	})
	if err != nil {
		return false, err
	}
	if err := p.trackAll(ctx, events); err != nil {
		return false, err
	}
	last := list[len(list)-1]
	from.After = courses.EnrollmentPlace{Course: last.Slug, At: last.EnrolledAt, ID: last.ID}
	return len(list) == rebuildEnrollments, nil
}

// learnt returns the events of an enrollment. Its price counts where it was imported: any
// other was paid by an order, which has an event of its own.
func learnt(e courses.Enrollment, h happened) (events []analytics.Event) {
	if e.Status == courses.Waiting {
		return nil
	}
	events = append(events, h.event(analytics.Enroll, uuid.Nil, e.EnrolledAt))
	if !e.CompletedAt.IsZero() {
		events = append(events, h.event(analytics.CourseComplete, uuid.Nil, e.CompletedAt))
	}
	if e.Source != courses.SourceImport || e.PricePaid.Minor == 0 {
		return events
	}
	events = append(events, h.event(analytics.Purchase, rowID(analytics.Purchase, int64(e.ID)), e.EnrolledAt))
	if e.Status == courses.Refunded && !e.EndedAt.IsZero() {
		events = append(events, h.event(analytics.Refund, rowID(analytics.Refund, int64(e.ID)), e.EndedAt))
	}
	return events
}

// rebuildReviews tracks the reviews of a page of courses.
func (p *Platform) rebuildReviews(ctx context.Context, from *rebuildFrom) (more bool, err error) {
	list, err := p.backend.Courses.CoursesAfter(ctx, from.Course, rebuildCourses)
	if err != nil || len(list) == 0 {
		return false, err
	}
	ids := make([]courses.CourseID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	slices.Sort(ids)
	for after := (reviews.Place{}); len(ids) > 0; {
		found, err := p.backend.Reviews.ReviewsAfter(ctx, ids, after, rebuildReviews)
		if err != nil {
			return false, err
		}
		events := make([]analytics.Event, len(found))
		for i, r := range found {
			events[i] = happened{Course: r.Course, User: r.User, Review: r.ID}.event(analytics.Review, uuid.Nil, r.CreatedAt)
		}
		if err := p.trackAll(ctx, events); err != nil {
			return false, err
		}
		if len(found) < rebuildReviews {
			break
		}
		last := &found[len(found)-1]
		place := slices.Index(ids, last.Course)
		if place < 0 {
			return false, core.ErrInternal.Because(fmt.Errorf("a review of course %d was not asked for", last.Course))
		}
		ids, after = ids[place:], reviews.PlaceOf(last)
	}
	from.Course = list[len(list)-1].Slug
	return len(list) == rebuildCourses, nil
}
