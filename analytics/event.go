package analytics

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Type says what has happened.
type Type string

// The types of events.
const (
	View           Type = "view"
	Enroll         Type = "enroll"
	LessonStart    Type = "lesson_start"
	LessonComplete Type = "lesson_complete"
	CourseComplete Type = "course_complete"
	Bookmark       Type = "bookmark"
	Review         Type = "review"
	Search         Type = "search"
	Purchase       Type = "purchase"
	Refund         Type = "refund"
)

// Types are all types, in the order of their codes.
var Types = []Type{View, Enroll, LessonStart, LessonComplete, CourseComplete, Bookmark, Review, Search, Purchase, Refund}

// Code returns the number that stands for a type in storage, from 1, or 0 for what is no
// type.
func (t Type) Code() int {
	for i, known := range Types {
		if t == known {
			return i + 1
		}
	}
	return 0
}

// FromClients reports whether clients may send events of the type; the others are only
// reported by the services themselves.
func (t Type) FromClients() bool { return t == View || t == LessonStart || t == Search }

// Event is one thing that has happened.
type Event struct {
	// ID is unique for its course and time. The zero ID gets a fresh UUIDv7.
	ID   uuid.UUID
	Type Type
	// Course is what it happened to; zero for a search, and whatever else has none.
	Course courses.CourseID
	// Lesson is needed by LessonStart and LessonComplete, and zero with the others.
	Lesson courses.LessonID
	// User is who did it; zero for a visitor.
	User core.UserID
	// Session is what the client calls the visit: up to MaxSession bytes, or empty.
	Session string
	// Amount is of Purchase and Refund, positive for both, and zero with the others.
	Amount core.Money
	// OccurredAt is when it happened, by the clock of who saw it, to the microsecond.
	// The zero time is the one inside a UUIDv7.
	OccurredAt time.Time
	// ReceivedAt is when it was taken, by the router's clock, which sets it.
	ReceivedAt time.Time
	// Properties is a JSON object of up to MaxProperties bytes, or nil. Nothing is
	// counted by it.
	Properties json.RawMessage
}

// The bounds of an event.
const (
	MaxSession    = 100
	MaxProperties = 4096
	// MaxAhead is how far OccurredAt may lie after the time of receipt: clocks of clients
	// are wrong.
	MaxAhead = 24 * time.Hour
)

// Earliest is the first moment that an event may have happened at.
var Earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Prepare returns an event with its id and times set, as it is stored. It fails with
// core.ErrInvalid, which names every field that is wrong.
func Prepare(e Event, now time.Time) (Event, error) {
	if e.ID == uuid.Nil {
		e.ID = uuid.Must(uuid.NewV7())
		if e.OccurredAt.IsZero() {
			e.OccurredAt = now
		}
	}
	var bad []core.Violation
	refuse := func(field, code, limit, got, message string) {
		bad = append(bad, core.Invalid(field, code, limit, got, message).Violations...)
	}
	if e.OccurredAt.IsZero() {
		if e.ID.Version() == 7 {
			sec, nsec := e.ID.Time().UnixTime()
			e.OccurredAt = time.Unix(sec, nsec).Truncate(time.Millisecond)
		} else {
			refuse("occurred_at", "required", "", "", "an id that is no UUIDv7 needs a time beside it")
		}
	}
	e.OccurredAt, e.ReceivedAt = core.Time(e.OccurredAt), core.Time(now)
	if !e.OccurredAt.IsZero() && (e.OccurredAt.Before(Earliest) || e.OccurredAt.After(e.ReceivedAt.Add(MaxAhead))) {
		refuse("occurred_at", "range", "2000-01-01 to a day ahead", strconv.FormatInt(e.OccurredAt.Unix(), 10)+" s", "the time lies too far back or ahead")
	}
	if e.Type.Code() == 0 {
		refuse("type", "oneof", "", string(e.Type), "there is no such type of event")
	}
	if e.Course < 0 {
		refuse("course", "min", "0", strconv.FormatInt(int64(e.Course), 10), "the id of a course is positive")
	}
	if e.Course == 0 && e.Type != Search {
		refuse("course", "required", "", "", "only searches have no course")
	}
	e.checkRest(refuse)
	if len(bad) > 0 {
		return Event{}, core.ErrInvalid.With(bad...)
	}
	return e, nil
}

// checkRest checks what depends on the type, and the texts.
func (e *Event) checkRest(refuse func(field, code, limit, got, message string)) {
	if ofLesson := e.Type == LessonStart || e.Type == LessonComplete; ofLesson != (e.Lesson > 0) {
		refuse("lesson", "required_for", "lesson_start lesson_complete", strconv.FormatInt(int64(e.Lesson), 10), "a lesson belongs to the events of lessons, and to no others")
	}
	if e.User < 0 {
		refuse("user", "min", "0", strconv.FormatInt(int64(e.User), 10), "the id of a user is positive")
	}
	if e.User == 0 && e.Type != View && e.Type != Search && e.Type != LessonStart {
		refuse("user", "required", "", "", "visitors only view, search and look at lessons")
	}
	if len(e.Session) > MaxSession || !core.IsLine(e.Session) {
		refuse("session", "max", strconv.Itoa(MaxSession), e.Session, "one line of up to 100 bytes is expected")
	}
	paid := e.Type == Purchase || e.Type == Refund
	if paid && (e.Amount.Minor < 0 || e.Amount.Minor > MaxAmount || len(e.Amount.Currency) != 3) || !paid && e.Amount != (core.Money{}) {
		refuse("amount", "range", "0-"+strconv.Itoa(MaxAmount), e.Amount.String(), "an amount of a currency belongs to purchases and refunds, and to no others")
	}
	if len(e.Properties) > MaxProperties {
		refuse("properties", "max", strconv.Itoa(MaxProperties), strconv.Itoa(len(e.Properties)), "the properties are too long")
	} else if len(e.Properties) > 0 && !validProperties(e.Properties) {
		refuse("properties", "object", "", "", "a JSON object of valid UTF-8 without NUL is expected")
	}
}

// MaxAmount is the largest amount of one event in minor units, so that a million of
// millions of them cannot overflow a sum.
const MaxAmount = 1_000_000_000_000

func validProperties(raw json.RawMessage) bool {
	var object map[string]json.RawMessage
	return core.ValidText(string(raw)) && json.Unmarshal(raw, &object) == nil && object != nil &&
		core.CheckEvents(core.Event{Payload: raw}) == nil
}
