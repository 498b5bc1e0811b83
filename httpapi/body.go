package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ustat/ustat/core"
)

// The bounds of a body's shape.
const (
	maxDepth = 32
	maxItems = 1000
)

// readBody reads the JSON of a request into input, a pointer to a struct with json
// tags. What encoding/json would let pass is refused: fields that the struct has
// not, names in another case, a field twice, null, text after the value. All fields
// that are wrong come together in one ErrInvalid. A body of another media type than those
// is refused.
func readBody(r *http.Request, limit int64, input any, types ...string) error {
	text, err := bodyOf(r, limit)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return core.ErrInvalid.Withf("a JSON object is expected as the body").
			With(core.Violation{Field: "body", Code: "required", Message: "a body is required"})
	}
	if err := checkType(r, types); err != nil {
		return err
	}
	if err := checkShape(text, reflect.TypeOf(input).Elem()); err != nil {
		return err
	}
	if err := json.Unmarshal(text, input); err != nil {
		return badJSON("the body does not have the shape that is expected").Because(err)
	}
	return nil
}

// refuseBody is for operations that take none; an empty object counts as none.
func refuseBody(r *http.Request) error {
	text, err := bodyOf(r, 64)
	if err != nil {
		return err
	}
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && string(trimmed) != "{}" {
		return core.Invalid("body", "unexpected", "", "", "this operation takes no body")
	}
	return nil
}

func bodyOf(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLong("body", limit)
	}
	var text bytes.Buffer
	text.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead) // so that a long body is not copied as it grows
	_, err := text.ReadFrom(http.MaxBytesReader(nil, r.Body, limit))
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return nil, tooLong("body", limit)
	}
	if err != nil {
		return nil, badJSON("the body could not be read").Because(err)
	}
	return text.Bytes(), nil
}

// checkType refuses another type than those, of which the first is to be used.
func checkType(r *http.Request, types []string) error {
	given := r.Header.Get("Content-Type")
	kind, params, err := mime.ParseMediaType(given)
	charset := strings.ToLower(params["charset"])
	if err == nil && slices.Contains(types, kind) && (charset == "" || charset == "utf-8") {
		return nil
	}
	p := newProblem(http.StatusUnsupportedMediaType, "unsupported_media_type", "the body's type is application/json in UTF-8")
	p.Errors = []FieldProblem{{Field: "Content-Type", Code: "oneof", Limit: strings.Join(types, " "), Got: shorten(given)}}
	return p
}

// errBadJSON is for text that is no JSON at all; it is answered with 400.
var errBadJSON = &core.Error{Kind: core.KindInvalid, Code: "bad_json"}

func badJSON(format string, args ...any) *core.Error { return errBadJSON.Withf(format, args...) }

// errTooManyFaults ends the walk over a body with more faults than are reported.
var errTooManyFaults = errors.New("too many faults")

// shape walks the tokens of a body beside the type that it is read into.
type shape struct {
	text   []byte
	tokens *json.Decoder
	bad    []core.Violation
}

// checkShape returns nil when text has exactly the shape of t.
func checkShape(text []byte, t reflect.Type) error {
	if !utf8.Valid(text) {
		return badJSON("the body is not valid UTF-8")
	}
	s := &shape{text: text, tokens: json.NewDecoder(bytes.NewReader(text))}
	s.tokens.UseNumber()
	if err := s.value("", t, 0); err != nil && !errors.Is(err, errTooManyFaults) {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return badJSON("the body is no JSON at byte %d: %v", syntax.Offset, syntax)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return badJSON("the body ends in the middle of its JSON")
		}
		return err
	}
	if s.bad != nil {
		return core.ErrInvalid.Withf("the body is invalid").With(s.bad...)
	}
	if _, err := s.tokens.Token(); !errors.Is(err, io.EOF) {
		return badJSON("there is something after the JSON of the body")
	}
	return nil
}

func (s *shape) refuse(path, code, limit, got, message string) {
	if path == "" {
		path = "body"
	}
	s.bad = append(s.bad, core.Invalid(shorten(path), code, limit, got, message).Violations...)
}

// value checks the next value against t; a nil t takes anything.
func (s *shape) value(path string, t reflect.Type, depth int) error {
	if depth > maxDepth {
		return badJSON("the body is nested deeper than %d levels", maxDepth)
	}
	if len(s.bad) >= maxViolations {
		return errTooManyFaults
	}
	begin := s.tokens.InputOffset()
	token, err := s.tokens.Token()
	if err != nil {
		return err
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == rawType {
		t = nil // its service checks it
	}
	switch token {
	case json.Delim('{'):
		return s.object(path, t, depth)
	case json.Delim('['):
		return s.array(path, t, depth)
	}
	if t != nil {
		s.scalar(path, t, token, s.text[begin:s.tokens.InputOffset()])
	}
	return nil
}

func (s *shape) object(path string, t reflect.Type, depth int) error {
	var fields map[string]reflect.Type
	switch {
	case t == nil:
	case t.Kind() == reflect.Struct && t != timeType:
		fields = jsonFields(t)
	default:
		s.refuse(path, "type", typeName(t), "object", typeName(t)+" is expected")
	}
	seen := map[string]bool{}
	for s.tokens.More() {
		key, err := s.tokens.Token()
		if err != nil {
			return err
		}
		name := key.(string) // the decoder takes nothing else there
		at := join(path, name)
		field, known := fields[name]
		switch {
		case seen[name]:
			s.refuse(at, "repeated", "1", "", "a field is given once")
		case fields != nil && !known:
			s.refuse(at, "unknown_field", "", "", "this operation has no such field")
		}
		seen[name] = true
		if len(seen) > maxItems {
			return badJSON("an object of the body has more than %d fields", maxItems)
		}
		if err := s.value(at, field, depth+1); err != nil {
			return err
		}
	}
	_, err := s.tokens.Token() // the closing brace
	return err
}

func (s *shape) array(path string, t reflect.Type, depth int) error {
	var item reflect.Type
	if t != nil {
		if t.Kind() == reflect.Slice {
			item = t.Elem()
		} else {
			s.refuse(path, "type", typeName(t), "array", typeName(t)+" is expected")
		}
	}
	n := 0
	for ; s.tokens.More(); n++ {
		if n == maxItems {
			return core.Invalid(shorten(path), "max_items", strconv.Itoa(maxItems), "more", "the list has too many items")
		}
		if err := s.value(fmt.Sprintf("%s[%d]", path, n), item, depth+1); err != nil {
			return err
		}
	}
	_, err := s.tokens.Token() // the closing bracket
	return err
}

// scalar checks a token that stands in written.
func (s *shape) scalar(path string, t reflect.Type, token json.Token, written []byte) {
	wrong := func(got string) {
		s.refuse(path, "type", typeName(t), got, typeName(t)+" is expected")
	}
	switch v := token.(type) {
	case nil:
		s.refuse(path, "null", "", "null", "null is not taken: leave the field out, or give an empty value")
	case string:
		if t == timeType {
			s.time(path, v)
		} else if t.Kind() != reflect.String {
			wrong("string")
		} else if !core.ValidText(v) || hasHalfPair(written) {
			s.refuse(path, "text", "", "", "not valid UTF-8, or it has a NUL byte or half a surrogate pair")
		}
	case bool:
		if t.Kind() != reflect.Bool {
			wrong("boolean")
		}
	case json.Number:
		s.number(path, t, v)
	}
}

// hasHalfPair reports whether a string of JSON has an escape of half a surrogate pair,
// which is no character: encoding/json would put U+FFFD in its place.
func hasHalfPair(written []byte) bool {
	var high bool // the escape before this one was the first half
	for i := 0; i < len(written); i++ {
		var unit uint64
		if written[i] == '\\' {
			if i++; written[i] == 'u' {
				unit, _ = strconv.ParseUint(string(written[i+1:i+5]), 16, 16) // the decoder has seen four digits
				i += 4
			}
		}
		if low := unit >= 0xdc00 && unit <= 0xdfff; low != high {
			return true
		}
		high = unit >= 0xd800 && unit <= 0xdbff
	}
	return false
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

func (s *shape) time(path, v string) {
	at, err := time.Parse(time.RFC3339, v)
	switch {
	case err == nil && !core.ValidTime(at):
		s.refuse(path, "range", "years 1 to 9999 in UTC", v, "a time in the years 1 to 9999 in UTC is expected")
	case err != nil:
		s.refuse(path, "rfc3339", "", v, "a time like 2026-01-31T12:00:00Z is expected")
	}
}

func (s *shape) number(path string, t reflect.Type, v json.Number) {
	switch {
	case t.Kind() == reflect.Float64:
		if _, err := v.Float64(); err != nil {
			s.refuse(path, "range", "", string(v), "the number is out of range")
		}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		n, err := v.Int64()
		if err != nil || reflect.Zero(t).OverflowInt(n) {
			s.refuse(path, "integer", "", string(v), "a whole number of 64 bits is expected")
		}
	default:
		s.refuse(path, "type", typeName(t), "number", typeName(t)+" is expected")
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// jsonFields returns the fields of a struct by their JSON names, those of embedded
// structs among them.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type, t.NumField())
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "" && name != "-" {
			fields[name] = f.Type
		}
	}
	return fields
}

// typeName returns JSON's word for a type, with its article.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		if t == timeType {
			return "a time"
		}
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	default:
		return "a number"
	}
}
