package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ustat/ustat/core"
)

// route describes an operation: how it is routed, what it takes and how it is
// documented, said once.
type route struct {
	method      string // empty is GET
	path        string // canonical: with the trailing slash
	id          string
	tag         string
	summary     string
	description string
	query       []param
	status      int   // of success; 0 is 200
	upload      bool  // the body is a file, which the handler reads: it takes a while
	long        bool  // the body may have Options.MaxText bytes
	beacon      bool  // the body may be text/plain, as browsers send it on leaving
	versioned   bool  // it takes If-Match
	keyed       bool  // it takes Idempotency-Key
	nobody      bool  // it is the same for everybody: do not ask who it is
	signedIn    bool  // an anonymous visitor is refused whatever the state
	raw         bool  // the handler reads the body, whatever it is; headers are its sender's own
	secret      bool  // the answer holds tokens: nobody keeps it
	failures    []int // that it answers with beside those that follow from the above
}

// call is one request of an operation, its parameters checked.
type call struct {
	request *http.Request
	writer  http.ResponseWriter
	actor   core.Actor
	args    args
	version int64 // the version that If-Match asks for; 0 is any

	// What a handler says beside its answer.
	location string // of what was created or has moved, as an absolute path of the API
	at       int64  // the version of what is answered, 0 where it has none
}

// path returns a parameter of the path.
func (c *call) path(name string) string { return c.request.PathValue(name) }

// id returns an id of the path; a text that is none is missing.
func (c *call) id(name string, missing error) (int64, error) {
	n, code, _, _ := param{kind: opaque}.parse(c.path(name))
	if code != "" {
		return 0, missing
	}
	return n, nil
}

// page returns the page that is asked for.
func (c *call) page() core.Page {
	limit, _ := c.args.number("limit")
	return core.Page{Limit: int(limit), Cursor: c.args.text("cursor")}
}

// key returns the Idempotency-Key of the request.
func (c *call) key() string { return c.request.Header.Get("Idempotency-Key") }

// none is the answer of an operation that has nothing to say, and the input of one
// that takes no body.
type none struct{}

// get registers a GET operation that answers with T.
func get[T any](a *api, rt route, handle func(ctx context.Context, c *call) (T, error)) {
	send(a, rt, func(ctx context.Context, c *call, _ none) (T, error) { return handle(ctx, c) })
}

// send registers an operation that takes a body of type In, unless that is none, and
// answers with T. It takes huma's adapter, schemas and document, but neither its
// parsing of input nor its writing of answers: those use reflection for every
// request and speak of Go's types in their errors. The query is parsed by the table
// that documents it instead, the body by readBody.
func send[In, T any](a *api, rt route, handle func(ctx context.Context, c *call, in In) (T, error)) {
	if rt.method == "" {
		rt.method = http.MethodGet
	}
	if rt.status == 0 {
		rt.status = http.StatusOK
	}
	_, silent := any(*new(T)).(none)
	if silent {
		rt.status = http.StatusNoContent
	}
	op := a.operation(rt)
	if !silent {
		op.Responses[strconv.Itoa(rt.status)].Content = jsonContent("application/json", a.schema(*new(T)))
	}
	_, bodiless := any(*new(In)).(none)
	check := a.checkOf(reflect.TypeFor[In]())
	if rt.upload {
		binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: binary}}}
	}
	if !bodiless {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
		for _, mediaType := range rt.bodyTypes() {
			op.RequestBody.Content[mediaType] = &huma.MediaType{Schema: a.inputSchema(*new(In))}
		}
		a.documentFailures(op, http.StatusUnsupportedMediaType)
	}
	if rt.raw {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}
	}
	a.routes = append(a.routes, rt)
	a.huma.OpenAPI().AddOperation(op)
	a.huma.Adapter().Handle(op, func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		if rt.upload {
			var end context.CancelFunc
			r, end = withTime(r)
			defer end()
		}
		c := &call{request: r, writer: w}
		answer, err := perform(a, rt, c, bodiless, check, handle)
		r = c.request
		switch {
		case err != nil:
			a.fail(w, r, err)
		case c.location != "" && rt.method == http.MethodGet:
			moved(w, r, c.location)
		case silent:
			w.WriteHeader(rt.status)
		default:
			a.answer(w, c, rt, answer)
		}
	})
}

func perform[In, T any](a *api, rt route, c *call, bodiless bool, check func(in any) error, handle func(ctx context.Context, c *call, in In) (T, error)) (answer T, err error) {
	r := c.request
	if !rt.nobody {
		if c.actor, err = a.actor(r); err != nil {
			return answer, err
		}
		if c.actor.Language != "" {
			r = a.negotiate(c.writer, r, c.actor.Language)
			c.request = r
		}
	}
	if rt.signedIn && c.actor.IsAnonymous() {
		return answer, core.ErrUnauthenticated
	}
	if c.args, err = parseQuery(r.URL.RawQuery, rt.query); err != nil {
		return answer, err
	}
	if rt.raw {
		return handle(r.Context(), c, *new(In))
	}
	if err := rt.refuseHeaders(r); err != nil {
		return answer, err
	}
	if rt.versioned {
		if c.version, err = ifVersion(r); err != nil {
			return answer, err
		}
	}
	var in In
	switch {
	case rt.method == http.MethodGet, rt.upload:
	case bodiless:
		err = refuseBody(r)
	default:
		err = readBody(r, rt.bound(a.options), &in, rt.bodyTypes()...)
	}
	if err == nil {
		err = check(&in)
	}
	if err != nil {
		return answer, err
	}
	return handle(r.Context(), c, in)
}

// bound returns how many bytes the body may have.
func (rt *route) bound(o Options) int64 {
	if rt.long {
		return o.MaxText
	}
	return o.MaxBody
}

// bodyTypes are the media types that the body may have.
func (rt *route) bodyTypes() []string {
	if rt.beacon {
		return []string{"application/json", "text/plain"}
	}
	return []string{"application/json"}
}

// refuseHeaders refuses what would be dangerous to ignore: a condition or a key that
// the operation does not keep.
func (rt *route) refuseHeaders(r *http.Request) error {
	if rt.method == http.MethodGet {
		return nil
	}
	if !rt.versioned && r.Header.Get("If-Match") != "" {
		return core.ErrVersion.Withf("this operation takes no If-Match: it would not be kept")
	}
	if !rt.keyed && r.Header.Get("Idempotency-Key") != "" {
		return core.Invalid("Idempotency-Key", "unexpected", "", "", "this operation takes no key: it would not be kept")
	}
	return nil
}

// checkOf returns what checks an input by its validate tags: those of this package.
// Those of the domains are checked by their services.
func (a *api) checkOf(t reflect.Type) func(in any) error {
	if t.PkgPath() != reflect.TypeFor[api]().PkgPath() || t == reflect.TypeFor[none]() {
		return func(any) error { return nil }
	}
	return func(in any) error {
		err := a.validate.Struct(in)
		e, ok := errors.AsType[*core.Error](err)
		if !ok {
			return err
		}
		for i := range e.Violations { // a field of an embedded struct is the body's own
			for _, f := range reflect.VisibleFields(t) {
				if f.Anonymous {
					e.Violations[i].Field = strings.TrimPrefix(e.Violations[i].Field, f.Name+".")
				}
			}
		}
		return e
	}
}

// operation documents a route for huma.
func (a *api) operation(rt route) *huma.Operation {
	op := &huma.Operation{
		Method: rt.method, Path: rt.path, OperationID: rt.id, Tags: []string{rt.tag},
		Summary: rt.summary, Description: rt.description,
		Responses: map[string]*huma.Response{strconv.Itoa(rt.status): {Description: http.StatusText(rt.status)}},
	}
	failures := append([]int{
		http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable,
	}, rt.failures...)
	if !rt.nobody {
		failures = append(failures, http.StatusUnauthorized)
		op.Security = []map[string][]string{{"bearer": {}}}
		if !rt.signedIn {
			op.Security = append(op.Security, map[string][]string{}) // or nobody
		}
	}
	if rt.signedIn {
		failures = append(failures, http.StatusForbidden)
	}
	if rt.method == http.MethodGet {
		op.Responses["304"] = &huma.Response{Description: "The client has it already (If-None-Match)"}
	} else {
		failures = append(failures, http.StatusRequestEntityTooLarge, http.StatusPreconditionFailed)
		if !rt.nobody {
			failures = append(failures, http.StatusConflict)
		}
	}
	for _, segment := range strings.Split(rt.path, "/") {
		name, ok := strings.CutPrefix(segment, "{")
		if !ok {
			continue
		}
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: strings.TrimSuffix(name, "}"), In: "path", Required: true, Description: "As lists give it", Schema: &huma.Schema{Type: huma.TypeString},
		})
		failures = append(failures, http.StatusNotFound)
	}
	for _, p := range append(slices.Clone(rt.query), langParam()) {
		op.Parameters = append(op.Parameters, p.document())
	}
	header := func(name, doc string) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "header", Description: doc, Schema: &huma.Schema{Type: huma.TypeString}})
	}
	if rt.versioned {
		header("If-Match", "The entity tag that a read gave: if it has changed since then, nothing is done")
	}
	if rt.keyed {
		header("Idempotency-Key", "At most 255 bytes of the caller's: the same request with the same key is done once, and answered alike")
	}
	a.documentFailures(op, failures...)
	return op
}

func (a *api) documentFailures(op *huma.Operation, failures ...int) {
	for _, status := range failures {
		response := &huma.Response{Description: http.StatusText(status)}
		if status >= http.StatusBadRequest {
			response.Content = jsonContent(problemType, a.problem)
		}
		op.Responses[strconv.Itoa(status)] = response
	}
}

func jsonContent(kind string, schema *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{kind: {Schema: schema}}
}

// schema returns the reference to the schema of v's type.
func (a *api) schema(v any) *huma.Schema { return a.schemaOf(reflect.TypeOf(v)) }

func (a *api) schemaOf(t reflect.Type) *huma.Schema {
	return a.huma.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
}

// slashless routes operations whose documented path ends with a slash by the path
// without it, which is what the front hands to the mux.
type slashless struct{ huma.Adapter }

// Handle implements huma.Adapter.
func (s slashless) Handle(op *huma.Operation, handler func(huma.Context)) {
	routed := *op
	routed.Path = strings.TrimSuffix(op.Path, "/")
	s.Adapter.Handle(&routed, handler)
}

// encoder is a reusable buffer and what writes JSON to it.
type encoder struct {
	buffer bytes.Buffer
	json   *json.Encoder
}

// keptBuffer is the largest buffer that is kept for the next answer.
const keptBuffer = 256 << 10

func newEncoder() *encoder {
	e := new(encoder)
	e.json = json.NewEncoder(&e.buffer)
	// Answers are never read as HTML: nosniff, and a type of their own.
	e.json.SetEscapeHTML(false)
	return e
}

// encode writes an answer to a buffer and hands its bytes to send, or fails with
// core.ErrInternal and sends nothing.
func (a *api) encode(answer any, send func(body []byte)) error {
	e := a.encoders.Get().(*encoder)
	defer func() {
		if e.buffer.Cap() <= keptBuffer {
			e.buffer.Reset()
			a.encoders.Put(e)
		}
	}()
	if err := e.json.Encode(answer); err != nil {
		return core.ErrInternal.Because(fmt.Errorf("httpapi: encode %T: %w", answer, err))
	}
	send(e.buffer.Bytes())
	return nil
}

// answer encodes an answer once and sends it whole, with its entity tag, or sends
// that the client has it already. One that cannot be encoded is a 500.
func (a *api) answer(w http.ResponseWriter, c *call, rt route, answer any) {
	err := a.encode(answer, func(body []byte) {
		if c.location != "" {
			w.Header().Set("Location", absolute(c.request, c.location))
		}
		if rt.secret {
			w.Header().Set("Cache-Control", "no-store")
			sendStatus(w, c.request, rt.status, "application/json", body)
			return
		}
		tag := entityTag(c.at, body)
		w.Header().Set("ETag", tag)
		if read := c.request.Method == http.MethodGet || c.request.Method == http.MethodHead; read && noneMatch(c.request, tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		sendStatus(w, c.request, rt.status, "application/json", body)
	})
	if err != nil {
		a.fail(w, c.request, err)
	}
}

// sendStatus sends a body whole.
func sendStatus(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// An error here is a client that went away.
		_, _ = w.Write(body)
	}
}

// moved sends a reader to where something is now.
func moved(w http.ResponseWriter, r *http.Request, path string) {
	target := absolute(r, path)
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusMovedPermanently)
}

// absolute returns a path of the API as the client sees it: below whatever prefix
// the handler is mounted under.
func absolute(r *http.Request, path string) string {
	asked, _, _ := strings.Cut(r.RequestURI, "?")
	prefix, ok := strings.CutSuffix(strings.TrimSuffix(asked, "/"), strings.TrimSuffix(r.URL.EscapedPath(), "/"))
	if !ok {
		prefix = ""
	}
	return prefix + path
}
