package reviews

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// The events of a review. Their subject is "review/" and its id, their payload a
// [Changed].
const (
	EventCreated   = "reviews.created"
	EventEdited    = "reviews.edited"
	EventDeleted   = "reviews.deleted"
	EventModerated = "reviews.moderated" // an admin has decided
	EventReported  = "reviews.reported"  // it has become pending by reports of abuse
	EventReplied   = "reviews.replied"
	EventCommented = "reviews.commented"
)

// EventRated says that the numbers of a course have changed. Its subject is "course/"
// and the course's id, its payload a [Rated].
const EventRated = "reviews.rated"

// Changed is the payload of a review's events: the review after the change. Texts are
// not in it.
type Changed struct {
	Review  ReviewID         `json:"review"`
	Course  courses.CourseID `json:"course"`
	User    core.UserID      `json:"user"` // the author
	Rating  int              `json:"rating"`
	Status  Status           `json:"status"`        // of what is deleted: before
	Was     Status           `json:"was,omitempty"` // before, where that is another
	Reason  string           `json:"reason,omitempty"`
	Comment CommentID        `json:"comment,omitempty"`
	Version int64            `json:"version"`
}

// Rated is the payload of EventRated: the numbers themselves, not what they have
// changed by. Of two with the same course that with the greater version is the newer;
// whoever keeps a copy ignores the older, in whatever order and how often they come.
type Rated struct {
	Course    courses.CourseID `json:"course"`
	Count     int64            `json:"count"`
	Sum       int64            `json:"sum"`
	Histogram [5]int64         `json:"histogram"`
	Version   int64            `json:"version"`
	Heat      courses.Heat     `json:"heat,omitzero"` // what the change does to the course's trend
}

// NewRated returns the event of numbers that have been written.
func NewRated(stats Stats, heat courses.Heat, by core.Actor, at time.Time) core.Event {
	return core.NewEvent(EventRated, "course/"+strconv.FormatInt(int64(stats.Course), 10), by, at,
		Rated{stats.Course, stats.Count, stats.Sum, stats.Histogram, stats.Version, heat})
}

// trail is who does what, for events, history and the audit log.
type trail struct {
	by   core.Actor
	at   time.Time
	heat func(written time.Time) courses.Heat
}

func (s *Service) trail(by core.Actor) trail {
	return trail{by, core.Time(s.c.Clock.Now()), s.c.Courses.ReviewHeat}
}

func subject(id ReviewID) string { return "review/" + strconv.FormatInt(int64(id), 10) }

// changed emits an event of a review and, where another than its author has decided on
// it, leaves an audit row of the same name.
func (t trail) changed(ctx context.Context, tx Tx, event string, r *Review, detail Changed) error {
	detail.about(r)
	if t.by.UserID != r.User && (event == EventModerated || event == EventDeleted || event == EventReplied) {
		if err := t.audit(ctx, tx, event, r, detail); err != nil {
			return err
		}
	}
	return tx.Emit(ctx, core.NewEvent(event, subject(r.ID), t.by, t.at, detail))
}

// audit leaves an audit row about a review.
func (t trail) audit(ctx context.Context, tx Tx, action string, r *Review, detail Changed) error {
	detail.about(r)
	text, err := json.Marshal(detail)
	if err != nil {
		return core.ErrInternal.Because(err)
	}
	return tx.Audit(ctx, core.AuditEntry{Actor: t.by.UserID, Action: action, Subject: subject(r.ID), Detail: text, At: t.at})
}

// about fills in the review after the change.
func (c *Changed) about(r *Review) {
	c.Review, c.Course, c.User, c.Rating, c.Status, c.Version = r.ID, r.Course, r.User, r.Rating, r.Status, r.Version
	if c.Was == c.Status {
		c.Was = ""
	}
}
