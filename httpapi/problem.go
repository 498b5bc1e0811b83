package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// Problem is the body of every error: problem details by RFC 9457 with a stable
// code. It never holds a cause.
type Problem struct {
	Type     string         `json:"type" doc:"Always about:blank: the code tells errors apart" example:"about:blank"`
	Title    string         `json:"title" doc:"The name of the status, in the language of the answer" example:"Not Found"`
	Status   int            `json:"status" doc:"The HTTP status" example:"404"`
	Detail   string         `json:"detail" doc:"What happened, in the language of the answer, for people"`
	Code     string         `json:"code" doc:"What happened, for machines; codes never change" example:"courses.not_found"`
	Errors   []FieldProblem `json:"errors,omitempty" nullable:"false" doc:"The fields or parameters that were refused"`
	Instance string         `json:"instance,omitempty" doc:"Names this occurrence in the server's log"`

	retryAfter string
	source     *core.Error // what Detail and Errors were made of
}

// FieldProblem is one field or parameter that was refused.
type FieldProblem struct {
	Field  string `json:"field" doc:"The field or parameter as it was sent" example:"limit"`
	Code   string `json:"code" doc:"The rule that it breaks" example:"range"`
	Limit  string `json:"limit,omitempty" doc:"The rule's bound" example:"1-100"`
	Got    string `json:"got,omitempty" doc:"What was received, shortened" example:"101"`
	Detail string `json:"detail,omitempty" doc:"The rule, in the language of the answer"`
}

var _ huma.StatusError = (*Problem)(nil)

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status; huma asks for it.
func (p *Problem) GetStatus() int { return p.Status }

const (
	problemType = "application/problem+json"

	statusClientClosed = 499 // nginx's: nobody is left to read the answer

	retrySoon = "1" // seconds, for what is busy or away for a moment
)

// statuses is the status of each kind. Only a refused condition of a request
// (If-Match) is 412, and says so itself; any other wrong state is 409.
var statuses = [...]int{
	core.KindInternal:           http.StatusInternalServerError,
	core.KindInvalid:            http.StatusUnprocessableEntity,
	core.KindUnauthenticated:    http.StatusUnauthorized,
	core.KindForbidden:          http.StatusForbidden,
	core.KindNotFound:           http.StatusNotFound,
	core.KindConflict:           http.StatusConflict,
	core.KindFailedPrecondition: http.StatusConflict,
	core.KindRateLimited:        http.StatusTooManyRequests,
	core.KindUnavailable:        http.StatusServiceUnavailable,
	core.KindOutcomeUnknown:     http.StatusInternalServerError,
}

func newProblem(status int, code, detail string) *Problem {
	title := http.StatusText(status)
	if status == statusClientClosed {
		title = "Client Closed Request"
	}
	p := &Problem{Type: "about:blank", Title: title, Status: status, Code: code, Detail: detail}
	if status == http.StatusServiceUnavailable {
		p.retryAfter = retrySoon
	}
	return p
}

func internalProblem() *Problem {
	p := newProblem(http.StatusInternalServerError, core.ErrInternal.Code, "something went wrong on our side")
	p.Instance = "urn:uuid:" + uuid.NewString()
	return p
}

// problemOf says an error in HTTP. A request that was given up counts by how its
// context ended, whatever the error that this led to looks like.
func problemOf(ctx context.Context, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	e, known := errors.AsType[*core.Error](err)
	if !known || e.Kind == core.KindInternal || e.Kind == core.KindUnavailable {
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			return newProblem(statusClientClosed, "client_closed_request", "the client went away")
		case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
			return newProblem(http.StatusServiceUnavailable, "timeout", "the request took too long")
		}
	}
	if !known || int(e.Kind) >= len(statuses) || e.Kind == core.KindInternal {
		return internalProblem()
	}
	p := newProblem(statuses[e.Kind], e.Code, e.Message)
	switch {
	case errors.Is(e, core.ErrKeyReused):
		p = newProblem(http.StatusUnprocessableEntity, e.Code, e.Message)
	case errors.Is(e, core.ErrVersion):
		p = newProblem(http.StatusPreconditionFailed, e.Code, e.Message)
	case errors.Is(e, errBadJSON):
		p = newProblem(http.StatusBadRequest, e.Code, e.Message)
	case e.Code == core.ErrCursor.Code:
		p.Errors = []FieldProblem{{Field: "cursor", Code: e.Code, Detail: e.Message}}
	case e.Kind == core.KindOutcomeUnknown:
		p.Instance = "urn:uuid:" + uuid.NewString()
	}
	p.source = e
	if e.RetryAfter > 0 {
		p.retryAfter = strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10)
	}
	for _, v := range e.Violations {
		p.Errors = append(p.Errors, FieldProblem{Field: v.Field, Code: v.Code, Limit: v.Limit, Got: v.Got, Detail: v.Message})
	}
	return p
}

// fail answers a request with an error, and logs it when it is ours to mend.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r.Context(), err)
	if p.Status >= http.StatusInternalServerError {
		level := slog.LevelError
		if p.Status == http.StatusServiceUnavailable {
			level = slog.LevelWarn
		}
		a.options.Logger.Log(r.Context(), level, "request failed", "method", r.Method, "path", r.URL.Path,
			"status", p.Status, "code", p.Code, "instance", p.Instance, "error", err)
	}
	a.writeProblem(w, r, p)
}

func (a *api) writeProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	h := w.Header()
	p = a.translated(r.Context(), p)
	h.Set("Content-Language", a.language(r.Context()))
	h.Set("Cache-Control", "no-store")
	if p.retryAfter != "" {
		h.Set("Retry-After", p.retryAfter)
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="ustat"`)
	}
	if err := a.encode(p, func(body []byte) { sendStatus(w, r, p.Status, problemType, body) }); err != nil {
		a.options.Logger.ErrorContext(r.Context(), "a problem cannot be encoded", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// methods are those that a path is asked about for Allow.
var methods = [...]string{
	http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost, http.MethodPut,
}

// unrouted answers what no operation takes: a path that does not exist, or one
// that does with another method.
func (a *api) unrouted(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range methods {
		probe := http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(&probe); pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		a.notFound(w, r)
		return
	}
	allow := strings.Join(append(allowed, http.MethodOptions), ", ")
	w.Header().Set("Allow", allow)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	p := newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "this path does not take this method")
	p.Errors = []FieldProblem{{Field: "method", Code: "oneof", Limit: allow, Got: shorten(r.Method)}}
	a.writeProblem(w, r, p)
}

func (a *api) notFound(w http.ResponseWriter, r *http.Request) {
	a.writeProblem(w, r, newProblem(http.StatusNotFound, "route_not_found", "there is nothing at this path"))
}

// shorten cuts what a stranger sent before it is sent back.
func shorten(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func tooLong(what string, limit int64) *Problem {
	status, code := http.StatusRequestEntityTooLarge, "body_too_large"
	if what == "query" {
		status, code = http.StatusRequestURITooLong, "query_too_long"
	}
	p := newProblem(status, code, "the "+what+" is too long")
	p.Errors = []FieldProblem{{Field: what, Code: "max", Limit: strconv.FormatInt(limit, 10)}}
	return p
}
