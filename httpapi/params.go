package httpapi

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ustat/ustat/core"
)

// kind is what a parameter of a query holds.
type kind uint8

const (
	text    kind = iota // valid UTF-8 without NUL
	integer             // decimal digits, min to max
	rating              // 1 to 5 with up to two decimals, kept in hundredths
	choice              // one of choices
	langTag             // shaped like a BCP 47 tag
	opaque              // an opaque id
	moment              // a time of RFC 3339, kept in Unix microseconds
	zone                // the name of a time zone of IANA
)

// param describes a parameter of a query. It both documents and parses it.
type param struct {
	name     string
	doc      string
	kind     kind
	required bool
	min, max int64    // of an integer
	choices  []string // of a choice
	standard any      // what its absence means
}

// arg is a parameter that was given. Number holds integers, ratings, ids and times.
type arg struct {
	name   string
	text   string
	number int64
}

// args are the parameters that were given, each once.
type args []arg

func (a args) find(name string) (arg, bool) {
	for _, given := range a {
		if given.name == name {
			return given, true
		}
	}
	return arg{}, false
}

func (a args) text(name string) string {
	given, _ := a.find(name)
	return given.text
}

func (a args) number(name string) (int64, bool) {
	given, ok := a.find(name)
	return given.number, ok
}

// time returns a time, which is zero when it was not given.
func (a args) time(name string) time.Time {
	if n, ok := a.number(name); ok {
		return time.UnixMicro(n).UTC()
	}
	return time.Time{}
}

// optional returns a number, or nil when it was not given.
func (a args) optional(name string) *int64 {
	if n, ok := a.number(name); ok {
		return &n
	}
	return nil
}

// maxViolations bounds an answer about a query with hundreds of faults.
const maxViolations = 20

// langParam is taken by every operation: what answers are translated to.
func langParam() param {
	return param{name: "lang", kind: langTag, doc: "Language of the answer, as a BCP 47 tag"}
}

// parseQuery reads a raw query by the parameters that an operation takes. All that
// is wrong comes together in one ErrInvalid.
func parseQuery(raw string, params []param) (args, error) {
	var given args
	var bad []core.Violation
	refuse := func(field, code, limit, got, message string) {
		if len(bad) < maxViolations {
			bad = append(bad, core.Invalid(shorten(field), code, limit, got, message).Violations...)
		}
	}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, err := unescape(pair)
		if err != nil {
			refuse("query", "encoding", "", pair, "this is not percent-encoded UTF-8 without NUL")
			continue
		}
		p, known := findParam(params, name)
		if !known {
			refuse(name, "unknown_parameter", "", value, "this operation has no such parameter")
			continue
		}
		if _, twice := given.find(name); twice {
			refuse(name, "repeated", "1", value, "a parameter is given once")
			continue
		}
		number, code, limit, message := p.parse(value)
		if code != "" {
			refuse(name, code, limit, value, message)
		}
		given = append(given, arg{name, value, number})
	}
	for _, p := range params {
		if !p.required {
			continue
		}
		if _, ok := given.find(p.name); !ok {
			refuse(p.name, "required", "", "", "this parameter is required")
		}
	}
	if bad != nil {
		return nil, core.ErrInvalid.Withf("the query is invalid").With(bad...)
	}
	return given, nil
}

func findParam(params []param, name string) (param, bool) {
	for _, p := range params {
		if p.name == name {
			return p, true
		}
	}
	lang := langParam()
	return lang, name == lang.name
}

func unescape(pair string) (name, value string, err error) {
	name, value, _ = strings.Cut(pair, "=")
	if name, err = url.QueryUnescape(name); err != nil {
		return "", "", err
	}
	if value, err = url.QueryUnescape(value); err != nil {
		return "", "", err
	}
	if !core.ValidText(name) || !core.ValidText(value) {
		return "", "", core.ErrInvalid
	}
	return name, value, nil
}

// parse returns the number that a value holds, or the rule that it breaks. An empty
// value is refused: a client that means "no cursor" and sends an empty one would
// read the first page for ever.
func (p param) parse(value string) (number int64, code, limit, message string) {
	if value == "" {
		if p.required {
			return 0, "required", "", "this parameter is required"
		}
		return 0, "empty", "", "leave the parameter out instead of giving it no value"
	}
	switch p.kind {
	case integer:
		return p.parseInteger(value)
	case rating:
		if hundredths, ok := parseRating(value); ok {
			return hundredths, "", "", ""
		}
		return 0, "range", "1-5", "a number between 1 and 5 with up to two decimals is expected"
	case choice:
		if !slices.Contains(p.choices, value) {
			return 0, "oneof", strings.Join(p.choices, ", "), "not one of the values that are taken"
		}
	case langTag:
		if !isTag(value) {
			return 0, "bcp47_language_tag", "", "a language tag of BCP 47 is expected"
		}
	case opaque:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 1 || strconv.FormatInt(n, 10) != value {
			return 0, "unknown", "", "there is no such " + p.name
		}
		return n, "", "", ""
	case moment:
		at, err := time.Parse(time.RFC3339, value)
		if err != nil || !core.ValidTime(at) {
			return 0, "rfc3339", "", "a time like 2026-01-31T12:00:00Z is expected"
		}
		return at.UnixMicro(), "", "", ""
	case zone:
		if _, err := time.LoadLocation(value); err != nil || value == "Local" {
			return 0, "timezone", "", "the name of a time zone is expected, as Europe/Moscow"
		}
	}
	return 0, "", "", ""
}

func (p param) parseInteger(value string) (int64, string, string, string) {
	limit := strconv.FormatInt(p.min, 10) + "-" + strconv.FormatInt(p.max, 10)
	digits := strings.TrimPrefix(value, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, "integer", limit, "a whole number in decimal digits is expected"
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < p.min || n > p.max {
		return 0, "range", limit, "the number is out of range"
	}
	return n, "", "", ""
}

// parseRating reads "1" to "5" with up to two decimals into hundredths.
func parseRating(value string) (int64, bool) {
	whole, fraction, point := strings.Cut(value, ".")
	if len(whole) != 1 || len(fraction) > 2 || (point && fraction == "") {
		return 0, false
	}
	digits := whole + fraction + "00"[len(fraction):]
	if strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n >= 100 && n <= 500
}

// isTag reports whether a value is shaped like a tag of BCP 47.
func isTag(value string) bool {
	if len(value) > 64 {
		return false
	}
	for i, part := range strings.Split(value, "-") {
		if part == "" || len(part) > 8 || (i == 0 && len(part) < 2) {
			return false
		}
		for _, c := range []byte(part) {
			letter := 'a' <= c|0x20 && c|0x20 <= 'z'
			if digit := '0' <= c && c <= '9'; !letter && (!digit || i == 0) {
				return false
			}
		}
	}
	return true
}

// document returns the parameter as OpenAPI says it.
func (p param) document() *huma.Param {
	schema := &huma.Schema{Type: huma.TypeString, Default: p.standard}
	switch p.kind {
	case integer:
		schema.Type, schema.Format = huma.TypeInteger, "int64"
		schema.Minimum = number(p.min)
		if p.max != math.MaxInt64 {
			schema.Maximum = number(p.max)
		}
	case rating:
		schema.Type = huma.TypeNumber
		schema.Minimum, schema.Maximum = number(1), number(5)
	case moment:
		schema.Format = "date-time"
	case choice:
		for _, c := range p.choices {
			schema.Enum = append(schema.Enum, c)
		}
	}
	return &huma.Param{Name: p.name, In: "query", Description: p.doc, Required: p.required, Schema: schema}
}

func number(n int64) *float64 {
	f := float64(n)
	return &f
}
