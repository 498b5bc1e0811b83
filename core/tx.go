package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Event says that something has happened in a domain. It is stored by the
// transaction that made it happen and delivered to every subscriber at least
// once after the commit; subscribers are idempotent by ID.
type Event struct {
	ID      uuid.UUID       // UUIDv7, made by NewEvent
	Type    string          // "courses.published"
	Version int             // of the payload's shape, from 1
	Subject string          // what it is about: "course/42"
	Actor   UserID          // who caused it; 0 for nobody signed in, -1 for the operator
	At      time.Time       // when, by the service's clock
	Payload json.RawMessage // typed by Type and Version
}

// NewEvent returns an event of version 1 with a fresh id. A payload that JSON
// cannot hold is a programmer's error and panics.
func NewEvent(typ, subject string, by Actor, at time.Time, payload any) Event {
	body, err := json.Marshal(payload)
	if err != nil {
		panic("core: payload of " + typ + ": " + err.Error())
	}
	return Event{
		ID: uuid.Must(uuid.NewV7()), Type: typ, Version: 1, Subject: subject,
		Actor: by.UserID, At: Time(at), Payload: body,
	}
}

// AuditEntry records a privileged operation.
type AuditEntry struct {
	Actor   UserID
	Action  string // "accounts.role_changed"
	Subject string // "user/42"
	Detail  json.RawMessage
	At      time.Time
}

// IdempotencyKey names one request of one caller.
type IdempotencyKey struct {
	Scope   string   // the operation and the caller: "courses.create/42"
	Key     string   // the caller's, 1 to 255 bytes
	Request [32]byte // what was asked, as RequestHash gives it
	At      time.Time
}

// RequestHash returns the hash by which two requests are held to be the same.
func RequestHash(request any) [32]byte {
	body, err := json.Marshal(request)
	if err != nil {
		panic("core: request: " + err.Error())
	}
	return sha256.Sum256(body)
}

// Tx is what every domain's Tx embeds: rows that commit with the domain's own,
// in the same database.
type Tx interface {
	// Emit hands over an event. It is buffered; all events of an Update are
	// written by one statement just before COMMIT, and dropped by a rollback. A
	// payload longer than MaxPayload is ErrInvalid, and so is one with a NUL in a
	// string (the escape \u0000, where its backslash is not itself escaped); nothing
	// of the call is kept then. The same holds for the detail of Audit.
	Emit(ctx context.Context, events ...Event) error
	// Audit writes one row of the audit log.
	Audit(ctx context.Context, entry AuditEntry) error
	// Claim takes an idempotency key for this transaction. If it was used before
	// by the same request, the saved answer and true come back. A key used with
	// another request is ErrKeyReused, and one that this Tx has claimed and not
	// answered is ErrKeyInUse; both leave the Tx usable. A concurrent twin waits for
	// the first.
	Claim(ctx context.Context, key IdempotencyKey) (answer []byte, done bool, err error)
	// SaveAnswer keeps the answer of a key claimed in this transaction.
	SaveAnswer(ctx context.Context, key IdempotencyKey, answer []byte) error
	// ForgetKeys removes up to limit idempotency keys of before, the oldest first, and
	// returns how many.
	ForgetKeys(ctx context.Context, before time.Time, limit int) (int, error)
	// ForgetScope removes up to limit idempotency keys whose scopes begin with prefix, with
	// their answers, and returns how many.
	ForgetScope(ctx context.Context, prefix string, limit int) (int, error)
}

// Outbox is what every Store implements so that its events can be delivered.
type Outbox interface {
	// Pending returns up to limit events of this store that are not done, oldest
	// first, by row state: a late commit is never skipped.
	Pending(ctx context.Context, limit int) ([]Event, error)
	// Done marks events as handed over. Unknown and done ids are ignored.
	Done(ctx context.Context, ids ...uuid.UUID) error
	// Forget removes up to limit events of this store that were done before a time, the
	// oldest first, and returns how many.
	Forget(ctx context.Context, before time.Time, limit int) (int, error)
}

// MaxPayload is how many bytes the payload of an event may have: it says what has
// happened, and carries no files.
const MaxPayload = 256 << 10

// CheckEvents returns ErrInvalid for an event that Emit refuses: with text that is not
// valid UTF-8 or has a NUL, a payload that is too long, or a NUL in a string of it. Every
// store calls it.
func CheckEvents(events ...Event) error {
	for _, e := range events {
		if err := checkTexts(e.Type, e.Subject, string(e.Payload)); err != nil {
			return err
		}
		if len(e.Payload) > MaxPayload {
			return Invalid("payload", "max", strconv.Itoa(MaxPayload), strconv.Itoa(len(e.Payload)), "the payload of an event is too long")
		}
		if err := checkStrings("payload", e.Payload); err != nil {
			return err
		}
	}
	return nil
}

// CheckAudit returns ErrInvalid for an entry that Audit refuses, as CheckEvents does.
func CheckAudit(e AuditEntry) error {
	if err := checkTexts(e.Action, e.Subject, string(e.Detail)); err != nil {
		return err
	}
	return checkStrings("detail", e.Detail)
}

func checkTexts(texts ...string) error {
	for _, text := range texts {
		if !ValidText(text) {
			return Invalid("text", "text", "", text, "valid UTF-8 without NUL is expected")
		}
	}
	return nil
}

// checkStrings refuses JSON whose strings hold a NUL, written as an escape, which not
// every engine can take apart again.
func checkStrings(field string, text json.RawMessage) error {
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if bytes.HasPrefix(text[i+1:], []byte("u0000")) {
			return Invalid(field, "text", "", "", "a string in it has a NUL")
		}
		i++ // what is escaped, a backslash too, begins no escape
	}
	return nil
}

// Notifier is implemented by a Store that can tell of its commits, so that events
// need not wait for the next look into the outbox.
type Notifier interface {
	// OnCommit makes f be called soon after each commit of this process that left
	// events in the store's outbox, on the goroutine that committed. F does not block.
	// Commits of a host's own transaction are not seen. It is safe for concurrent use.
	OnCommit(f func())
}

// Joiner is implemented by stores that can work inside a host's transaction. S is
// the domain's Store type.
type Joiner[S any] interface {
	// Join returns the store inside tx: reads see the transaction, Update is a
	// savepoint, events leave with its commit, and nothing is run again.
	// Decorators pass Join on. The transaction must be of the database that holds
	// the store's tables; that cannot be seen from tx.
	Join(tx *sql.Tx) (S, error)
}

// Once runs do at most once for a key. The result is saved with the effect and
// given again to whoever comes with the same key and request; if do fails,
// nothing is kept. Inside do, or where do has failed in the same Tx, the key is
// ErrKeyInUse. With an empty Key it just runs do.
func Once[T any](ctx context.Context, tx Tx, key IdempotencyKey, do func() (T, error)) (T, error) {
	var zero T
	if key.Key == "" {
		return do()
	}
	if len(key.Key) > 255 {
		return zero, Invalid("Idempotency-Key", "max", "255", key.Key, "the key is longer than 255 bytes")
	}
	saved, done, err := tx.Claim(ctx, key)
	if err != nil {
		return zero, err
	}
	if done {
		var result T
		if err := json.NewDecoder(bytes.NewReader(saved)).Decode(&result); err != nil {
			return zero, ErrInternal.Because(err)
		}
		return result, nil
	}
	result, err := do()
	if err != nil {
		return zero, err
	}
	answer, err := json.Marshal(result)
	if err != nil {
		return zero, ErrInternal.Because(err)
	}
	return result, tx.SaveAnswer(ctx, key, answer)
}

type contextKey int

const (
	updateKey contextKey = iota
	operationKey
)

// EnterUpdate marks ctx as the inside of an Update. Stores call it for the context
// they hand to the closure.
func EnterUpdate(ctx context.Context) context.Context {
	return context.WithValue(ctx, updateKey, true)
}

// CheckNested returns ErrNested when ctx comes from inside an Update. Every store
// calls it first in Update and in each read outside a Tx.
func CheckNested(ctx context.Context) error {
	if ctx.Value(updateKey) != nil {
		return ErrNested
	}
	return nil
}

// WithOperation names the operation that ctx serves, for logs and metrics of
// queries and for the error that names who holds the writer: "courses.List".
func WithOperation(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, operationKey, name)
}

// Operation returns the name that WithOperation gave, or "unnamed".
func Operation(ctx context.Context) string {
	if name, ok := ctx.Value(operationKey).(string); ok {
		return name
	}
	return "unnamed"
}
