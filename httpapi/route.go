package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
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
	path        string // canonical: with the trailing slash
	id          string
	tag         string
	summary     string
	description string
	query       []param
	nobody      bool // it is the same for everybody: do not ask who it is
}

// call is one request of an operation, its parameters checked.
type call struct {
	request *http.Request
	actor   core.Actor
	args    args
}

// path returns a parameter of the path.
func (c *call) path(name string) string { return c.request.PathValue(name) }

// page returns the page that is asked for.
func (c *call) page() core.Page {
	limit, _ := c.args.number("limit")
	return core.Page{Limit: int(limit), Cursor: c.args.text("cursor")}
}

// get registers a GET operation that answers with T. It takes huma's adapter,
// schemas and document, but neither its parsing of parameters nor its writing of
// answers: those use reflection for every request and speak of Go's types in their
// errors. The query is parsed by the table that documents it instead.
func get[T any](a *api, rt route, handle func(ctx context.Context, c *call) (T, error)) {
	var shape T
	op := a.operation(rt, a.schema(shape))
	a.huma.OpenAPI().AddOperation(op)
	a.huma.Adapter().Handle(op, func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		answer, err := perform(a, rt, r, handle)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		a.write(w, r, http.StatusOK, "application/json", answer)
	})
}

func perform[T any](a *api, rt route, r *http.Request, handle func(ctx context.Context, c *call) (T, error)) (T, error) {
	var none T
	var actor core.Actor
	if !rt.nobody {
		var err error
		if actor, err = a.options.Actor(r); err != nil {
			return none, err
		}
	}
	given, err := parseQuery(r.URL.RawQuery, rt.query)
	if err != nil {
		return none, err
	}
	return handle(r.Context(), &call{request: r, actor: actor, args: given})
}

// operation documents a route for huma.
func (a *api) operation(rt route, answer *huma.Schema) *huma.Operation {
	op := &huma.Operation{
		Method: http.MethodGet, Path: rt.path, OperationID: rt.id, Tags: []string{rt.tag},
		Summary: rt.summary, Description: rt.description,
		Responses: map[string]*huma.Response{"200": {
			Description: "OK", Content: map[string]*huma.MediaType{"application/json": {Schema: answer}},
		}},
	}
	failures := []int{http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable}
	if !rt.nobody {
		failures = append(failures, http.StatusUnauthorized)
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
	for _, status := range failures {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{problemType: {Schema: a.problem}},
		}
	}
	return op
}

// schema returns the reference to the schema of v's type.
func (a *api) schema(v any) *huma.Schema {
	t := reflect.TypeOf(v)
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

// write encodes an answer once and sends it whole.
func (a *api) write(w http.ResponseWriter, r *http.Request, status int, contentType string, answer any) {
	e := a.encoders.Get().(*encoder)
	defer func() {
		if e.buffer.Cap() <= keptBuffer {
			e.buffer.Reset()
			a.encoders.Put(e)
		}
	}()
	if err := e.json.Encode(answer); err != nil {
		// Views are plain structs: this is a programmer's error.
		panic("httpapi: " + err.Error())
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(e.buffer.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// An error here is a client that went away.
		_, _ = w.Write(e.buffer.Bytes())
	}
}
