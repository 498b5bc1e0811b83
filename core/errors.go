package core

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what a caller can do about an error. The list only grows.
type Kind uint8

// The kinds of errors. KindInternal is what any foreign error counts as.
const (
	KindInternal           Kind = iota // a fault of ours; the caller can do nothing
	KindInvalid                        // the input is wrong; Violations name the fields
	KindUnauthenticated                // nobody is signed in, or the proof of it is bad
	KindForbidden                      // the actor may not do this
	KindNotFound                       // no such thing, or not for this actor
	KindConflict                       // it clashes with what is stored
	KindFailedPrecondition             // right input, wrong state
	KindRateLimited                    // too often; later it may work
	KindUnavailable                    // a part is away or busy; later it may work
	KindOutcomeUnknown                 // a COMMIT whose answer was lost: look before trying again
)

var kindNames = [...]string{
	"internal", "invalid", "unauthenticated", "forbidden", "not_found", "conflict",
	"failed_precondition", "rate_limited", "unavailable", "outcome_unknown",
}

// String returns the kind's stable name, such as "not_found".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Violation is one field that was refused.
type Violation struct {
	Field   string `json:"field"`             // path as the caller wrote it: "title", "tags[2]"
	Code    string `json:"code"`              // stable rule name: "required", "max", "slug"
	Limit   string `json:"limit,omitempty"`   // the rule's bound, where it has one: "200"
	Got     string `json:"got,omitempty"`     // what was received, cut to 64 bytes; never a secret
	Message string `json:"message,omitempty"` // English sentence for people
}

// Error is the one error type of Ustat's services and stores. Compare it with
// errors.Is against a sentinel: two Errors match when their codes are equal, and
// any Error matches the bare sentinel of its kind (ErrNotFound, ErrConflict, ...).
// An Error is immutable; the With and Because methods return copies.
type Error struct {
	Kind       Kind
	Code       string // stable, for machines: "courses.not_found"
	Message    string // English, for people; it holds no secret and no SQL
	Violations []Violation
	RetryAfter time.Duration // when trying again makes sense; zero is unknown
	cause      error
	format     string // what Message was made of by Withf, with args
	args       []any
}

// The sentinels of the kinds. errors.Is(err, core.ErrNotFound) holds for every
// error of KindNotFound, whatever its code.
var (
	ErrInvalid            = &Error{Kind: KindInvalid, Code: "invalid", Message: "the input is invalid"}
	ErrUnauthenticated    = &Error{Kind: KindUnauthenticated, Code: "unauthenticated", Message: "sign in first"}
	ErrForbidden          = &Error{Kind: KindForbidden, Code: "forbidden", Message: "this is not allowed"}
	ErrNotFound           = &Error{Kind: KindNotFound, Code: "not_found", Message: "there is no such thing"}
	ErrConflict           = &Error{Kind: KindConflict, Code: "conflict", Message: "this clashes with what is stored"}
	ErrFailedPrecondition = &Error{Kind: KindFailedPrecondition, Code: "failed_precondition", Message: "the state does not allow this"}
	ErrRateLimited        = &Error{Kind: KindRateLimited, Code: "rate_limited", Message: "too many requests"}
	ErrUnavailable        = &Error{Kind: KindUnavailable, Code: "unavailable", Message: "temporarily unavailable"}
	ErrOutcomeUnknown     = &Error{Kind: KindOutcomeUnknown, Code: "outcome_unknown", Message: "the commit's answer was lost: it may or may not have happened"}
	ErrInternal           = &Error{Kind: KindInternal, Code: "internal", Message: "internal error"}
)

// Errors of the kernel that every store reports alike.
var (
	// ErrNested is returned by Update, and by a read outside the Tx, called with
	// the context of a running Update. It is a programmer's error.
	ErrNested = &Error{Kind: KindInternal, Code: "core.nested", Message: "a store was used outside the running Update's Tx with its context"}
	// ErrTxDone is returned by a Tx used after its Update has ended.
	ErrTxDone = &Error{Kind: KindInternal, Code: "core.tx_done", Message: "the Tx was used after its Update ended"}
	// ErrRetry tells a host that owns the transaction to run it again from its
	// start: the database refused it because of a concurrent one.
	ErrRetry = &Error{Kind: KindUnavailable, Code: "core.retry", Message: "the transaction met a concurrent one and must be run again"}
	// ErrBusy is returned when a writer could not be had in time.
	ErrBusy = &Error{Kind: KindUnavailable, Code: "core.busy", Message: "the database is busy"}
	// ErrClosed is returned by a store used after Close.
	ErrClosed = &Error{Kind: KindUnavailable, Code: "core.closed", Message: "the storage is closed"}
	// ErrKeyReused is returned when an idempotency key comes back with another request.
	ErrKeyReused = &Error{Kind: KindConflict, Code: "core.idempotency_key_reused", Message: "this idempotency key was used with another request"}
	// ErrVersion is returned by an update that asks for a version which is no longer
	// the stored one.
	ErrVersion = &Error{Kind: KindFailedPrecondition, Code: "core.version_mismatch", Message: "it has changed since it was read: read it again"}
	// ErrKeyInUse is returned when an idempotency key is claimed again in the
	// transaction that has claimed it and not answered yet.
	ErrKeyInUse = &Error{Kind: KindFailedPrecondition, Code: "core.idempotency_key_in_use", Message: "this idempotency key is being worked on in this very transaction"}
	// ErrCannotJoin is returned when a store cannot take part in a host's transaction.
	ErrCannotJoin = &Error{Kind: KindFailedPrecondition, Code: "core.cannot_join", Message: "this store cannot join a host's transaction"}
	// ErrCursor is returned for a cursor that was altered, or that belongs to
	// another list, sort or filter.
	ErrCursor = &Error{Kind: KindInvalid, Code: "core.bad_cursor", Message: "the cursor is not valid for this list"}
)

var kindSentinels = [...]*Error{
	KindInternal: ErrInternal, KindInvalid: ErrInvalid, KindUnauthenticated: ErrUnauthenticated,
	KindForbidden: ErrForbidden, KindNotFound: ErrNotFound, KindConflict: ErrConflict,
	KindFailedPrecondition: ErrFailedPrecondition, KindRateLimited: ErrRateLimited,
	KindUnavailable: ErrUnavailable, KindOutcomeUnknown: ErrOutcomeUnknown,
}

// Error returns the message, the violations and the cause; it is for logs.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for i, v := range e.Violations {
		b.WriteString([]string{"; ", ": "}[btoi(i == 0)])
		b.WriteString(v.Field + ": " + v.Message)
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	return b.String()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Is reports whether target is the same code, or the sentinel of e's kind.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	if !ok {
		return false
	}
	return t.Code == e.Code || (int(e.Kind) < len(kindSentinels) && kindSentinels[e.Kind] == t)
}

// Unwrap returns the cause, which is for logs and never leaves the process.
func (e *Error) Unwrap() error { return e.cause }

// Because returns a copy of e with its cause.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Withf returns a copy of e with another message.
func (e *Error) Withf(format string, args ...any) *Error {
	c := *e
	c.Message = fmt.Sprintf(format, args...)
	c.format, c.args = format, args
	return &c
}

// Format returns what Message was made of: the format and the arguments of Withf, or the
// message itself. The format is what translations of the message are found by.
func (e *Error) Format() (format string, args []any) {
	if e.format == "" {
		return e.Message, nil
	}
	return e.format, e.args
}

// With returns a copy of e with violations added.
func (e *Error) With(v ...Violation) *Error {
	c := *e
	c.Violations = append(append([]Violation(nil), e.Violations...), v...)
	return &c
}

// After returns a copy of e that says when to try again.
func (e *Error) After(wait time.Duration) *Error {
	c := *e
	c.RetryAfter = wait
	return &c
}

// KindOf returns the kind of the first Error in err's tree, or KindInternal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// Invalid returns an ErrInvalid that names one field, the rule, its limit and
// what was received. Got is cut to 64 bytes.
func Invalid(field, code, limit, got, message string) *Error {
	return ErrInvalid.With(Violation{Field: field, Code: code, Limit: limit, Got: cut(got), Message: message})
}

func cut(s string) string {
	const most = 64
	if len(s) <= most {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// WithCode returns a copy of e with another code.
func (e *Error) WithCode(code string) *Error {
	c := *e
	c.Code = code
	return &c
}
