package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

type clientEvents struct {
	Events []clientEvent `json:"events" validate:"required,min=1,max=1000"`
}

// clientEvent has no bounds but its shape: one that is wrong is rejected, and keeps none
// of the others from being taken.
type clientEvent struct {
	ID         string          `json:"id,omitempty" doc:"A UUID of the client's: an event that comes again with it, and with its time, counts once. Without one it counts whenever it comes"`
	Type       string          `json:"type" doc:"view, lesson_start or search"`
	Course     string          `json:"course,omitempty" doc:"Slug; needed but for a search"`
	Lesson     string          `json:"lesson,omitempty" doc:"The id of the lesson; needed by lesson_start"`
	Session    string          `json:"session,omitempty" doc:"What the client calls the visit, at most 100 bytes"`
	OccurredAt time.Time       `json:"occurred_at,omitzero" doc:"By the client's clock; without it, the time inside a UUID of version 7"`
	Properties json.RawMessage `json:"properties,omitempty" doc:"A JSON object of at most 4096 bytes"`
}

type collected struct {
	Accepted   int             `json:"accepted" doc:"How many were counted"`
	Duplicates int             `json:"duplicates" doc:"How many had been before"`
	Rejected   []rejectedEvent `json:"rejected" nullable:"false" doc:"The others; what is unavailable is worth another try with the same id and time"`
}

type rejectedEvent struct {
	Index  int            `json:"index" doc:"In what was sent, from 0"`
	Code   string         `json:"code" doc:"analytics.server_only, courses.not_found, invalid, unavailable, ..."`
	Detail string         `json:"detail"`
	Errors []FieldProblem `json:"errors,omitempty" nullable:"false"`
}

// mountCollector takes events from clients.
func (a *api) mountCollector() {
	send(a, route{
		method: http.MethodPost, path: analyticsPath + "events/", id: "analytics-collect", tag: "analytics", summary: "Report what a client has seen",
		description: "Views, started lessons and searches, of visitors too; all else the services report themselves. What is accepted is stored. " +
			"The body may be text/plain, as navigator.sendBeacon sends it. At most 120 calls a minute of a user, and 1,200 of a network.",
		status: http.StatusAccepted, long: true, beacon: true, failures: tooOften,
	}, func(ctx context.Context, c *call, in clientEvents) (collected, error) {
		var refused []analytics.Refused
		var events []analytics.FromClient
		var at []int // of events, in what was sent
		for i, sent := range in.Events {
			e, err := sent.event()
			if err != nil {
				refused = append(refused, analytics.Refused{Index: i, Err: err})
				continue
			}
			events, at = append(events, e), append(at, i)
		}
		result, err := a.platform.Analytics.Collect(ctx, c.actor, network(a.options.Client(c.request)), events)
		if err != nil {
			return collected{}, err
		}
		for _, r := range result.Refused {
			refused = append(refused, analytics.Refused{Index: at[r.Index], Err: r.Err})
		}
		slices.SortFunc(refused, func(a, b analytics.Refused) int { return cmp.Compare(a.Index, b.Index) })
		return collected{result.Accepted, result.Duplicates, present(refused, "", rejectedFor(ctx)).Results}, nil
	})
}

// event returns what a client has sent, with its ids read.
func (e clientEvent) event() (analytics.FromClient, error) {
	out := analytics.FromClient{Slug: e.Course}
	out.Type, out.Session, out.OccurredAt, out.Properties = analytics.Type(e.Type), e.Session, e.OccurredAt, e.Properties
	if e.ID != "" {
		id, err := uuid.Parse(e.ID)
		if err != nil || id == uuid.Nil {
			return out, core.Invalid("id", "uuid", "", shorten(e.ID), "a UUID is expected")
		}
		out.ID = id
	}
	if e.Lesson != "" {
		id, err := strconv.ParseInt(e.Lesson, 10, 64)
		if err != nil || id < 1 {
			return out, core.Invalid("lesson", "unknown", "", shorten(e.Lesson), "there is no such lesson")
		}
		out.Lesson = courses.LessonID(id)
	}
	return out, nil
}

func rejectedFor(ctx context.Context) func(r analytics.Refused) rejectedEvent {
	return func(r analytics.Refused) rejectedEvent {
		p := problemOf(ctx, r.Err)
		return rejectedEvent{r.Index, p.Code, p.Detail, p.Errors}
	}
}
