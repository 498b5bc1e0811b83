package tasks

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// EventAsked is the type of the event by which a transaction asks for a job.
const EventAsked = "tasks.asked"

// maxEnvelope is how many bytes of the payload go to what is around the arguments.
const maxEnvelope = 1 << 10

// asked is its payload.
type asked struct {
	Kind        string          `json:"kind"`
	Version     int             `json:"version"`
	MaxAttempts int             `json:"max_attempts"`
	Timeout     time.Duration   `json:"timeout"`
	Args        json.RawMessage `json:"args"`
}

// Ask asks for a job inside a transaction: it is run once that has committed, and
// never if it rolls back. It fails with core.ErrInvalid for a kind out of its bounds
// and for arguments that, as JSON, are longer than the payload of an event may be.
func Ask[A any](ctx context.Context, tx core.Tx, kind Kind[A], args A) error {
	body, err := json.Marshal(args)
	if err != nil {
		return core.Invalid("args", "json", "", "", "JSON cannot hold the arguments").Because(err)
	}
	job, err := kind.insert("key", body)
	if err != nil {
		return err
	}
	if len(body) > core.MaxPayload-maxEnvelope {
		return core.Invalid("args", "max", strconv.Itoa(core.MaxPayload-maxEnvelope), strconv.Itoa(len(body)), "the arguments are too long")
	}
	return tx.Emit(ctx, core.NewEvent(EventAsked, "job/"+kind.Name, core.Actor{}, core.SystemClock{}.Now(), asked{
		Kind: job.Kind, Version: job.Version, MaxAttempts: job.MaxAttempts, Timeout: job.Timeout, Args: body,
	}))
}

// jobOf returns the job that an event asks for. One that cannot be understood, of a
// newer version, becomes a job of the kind EventAsked, which nobody works: it waits.
func jobOf(e core.Event) Insert {
	var a asked
	if e.Version == 1 && json.Unmarshal(e.Payload, &a) == nil {
		job, err := Insert{Kind: a.Kind, Key: e.ID.String(), Version: a.Version, Args: a.Args, MaxAttempts: a.MaxAttempts, Timeout: a.Timeout}.WithDefaults()
		if err == nil {
			return job
		}
	}
	return Insert{Kind: EventAsked, Key: e.ID.String(), Version: e.Version, Args: e.Payload}
}

// wireEvent is an event as the arguments of a job.
type wireEvent struct {
	ID      uuid.UUID       `json:"id"`
	Type    string          `json:"type"`
	Version int             `json:"version"`
	Subject string          `json:"subject"`
	Actor   core.UserID     `json:"actor"`
	At      time.Time       `json:"at"`
	Payload json.RawMessage `json:"payload"`
}

// encodeEvent returns the arguments of the jobs of an event, without the escapes for
// HTML, which would make a payload up to six times as long.
func encodeEvent(e core.Event) (json.RawMessage, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(wireEvent(e))
	return bytes.TrimSpace(body.Bytes()), err
}

func decodeEvent(args json.RawMessage) (core.Event, error) {
	var w wireEvent
	err := json.Unmarshal(args, &w)
	return core.Event(w), err
}

// Event returns the event that the job brings to its subscriber, and false for a job
// of another kind.
func (j Job) Event() (core.Event, bool) {
	if !strings.HasPrefix(j.Kind, eventsKind) {
		return core.Event{}, false
	}
	event, err := decodeEvent(j.Args)
	return event, err == nil
}
