package transfer

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses/richtext"
)

const (
	maxCell = 1 << 20 // bytes
	maxKey  = 254     // bytes of a name that refers to something
)

// cells is the record at hand, by a table's columns. Its getters note the first
// thing that is wrong and go on with a zero value.
type cells struct {
	header  []string
	columns []column
	at      []int // by column: the place in the record, or -1 when the file has none
	record  []string
	size    int // bytes of the record
	column  string
	reason  string // of the refusal; empty while all is good
	known   map[string]bool
	checker *core.Validator
}

// readHeader reads the first record. A header by which the file cannot be read
// gives refusals.
func readHeader(file string, r *records, columns []column) (*cells, []Refusal, error) {
	record, err := r.next()
	at := Refusal{File: file, Line: max(r.line, 1)}
	if broken, ok := errors.AsType[*csv.ParseError](err); ok {
		at.Reason = "the header cannot be read: " + parseReason(broken)
		return nil, []Refusal{at}, nil
	}
	switch {
	case errors.Is(err, io.EOF):
		at.Reason = "the file is empty: a header is expected"
		return nil, []Refusal{at}, nil
	case errors.Is(err, errRecordTooLarge):
		at.Reason = err.Error()
		return nil, []Refusal{at}, nil
	case err != nil:
		return nil, nil, err
	}
	c := &cells{columns: columns, known: map[string]bool{}, checker: core.NewValidator()}
	for _, name := range record {
		c.header = append(c.header, strings.Clone(name))
	}
	var refused []Refusal
	for _, col := range columns {
		place := slices.Index(c.header, col.name)
		c.at = append(c.at, place)
		at.Column = col.name
		if place < 0 && col.required {
			at.Reason = "the column is missing"
			refused = append(refused, at)
		} else if place >= 0 && slices.Contains(c.header[place+1:], col.name) {
			at.Reason = "the column is there twice"
			refused = append(refused, at)
		}
	}
	return c, refused, nil
}

// warnings names the columns of the header that nobody knows.
func (c *cells) warnings(file string) []Warning {
	var odd []Warning
	for _, name := range c.header {
		if !slices.ContainsFunc(c.columns, func(col column) bool { return col.name == name }) {
			odd = append(odd, Warning{file, 1, shorten(name), "the column is unknown and was not read"})
		}
	}
	return odd
}

// nameAt returns the header's name of a place in the record, or "".
func (c *cells) nameAt(place int) string {
	if place < len(c.header) {
		return c.header[place]
	}
	return ""
}

// take makes record the one at hand and reports whether it has the right number of
// cells and each can be kept.
func (c *cells) take(record []string) bool {
	c.record, c.size, c.column, c.reason = record, 0, "", ""
	if len(record) < len(c.header) {
		c.column = c.header[len(record)]
		c.reason = fmt.Sprintf("the record ends before this column: it has %d of %d cells", len(record), len(c.header))
		return false
	}
	if len(record) > len(c.header) {
		c.reason = fmt.Sprintf("the record has %d cells, the header %d", len(record), len(c.header))
		return false
	}
	for i, cell := range record {
		c.size += len(cell)
		switch {
		case len(cell) > maxCell:
			c.reason = "the cell is longer than 1 MiB"
		case !utf8.ValidString(cell):
			c.reason = "the cell is not valid UTF-8"
		case strings.IndexByte(cell, 0) >= 0:
			c.reason = "the cell has a NUL byte"
		}
		if c.reason != "" {
			c.column = c.header[i]
			return false
		}
	}
	return true
}

// refuse notes what is wrong, unless something was wrong before.
func (c *cells) refuse(col int, format string, args ...any) {
	if c.reason == "" {
		c.column, c.reason = c.columns[col].name, fmt.Sprintf(format, args...)
	}
}

// has reports whether the file has an optional column.
func (c *cells) has(col int) bool { return c.at[col] >= 0 }

// raw returns a cell as it is, and "" when the file has no such column.
func (c *cells) raw(col int) string {
	if c.at[col] < 0 {
		return ""
	}
	return c.record[c.at[col]]
}

// text returns a cell of at most so many characters.
func (c *cells) text(col, runes int) string {
	s := c.raw(col)
	if len(s) > runes && utf8.RuneCountInString(s) > runes {
		c.refuse(col, "longer than %d characters", runes)
	}
	return s
}

// title is one line of text that is not empty, in Unicode's form NFC. Line breaks and
// other control characters, which old catalogues have, become spaces; those that turn
// the direction of text are left out.
func (c *cells) title(col, runes int) string {
	s := norm.NFC.String(c.text(col, runes))
	if !core.IsLine(s) {
		s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
			return unicode.IsControl(r) || unicode.IsSpace(r)
		}), " ")
		s = strings.TrimSpace(strings.Map(func(r rune) rune {
			if core.IsBidiControl(r) {
				return -1
			}
			return r
		}, s))
	}
	switch {
	case s == "":
		c.refuse(col, "the cell is empty")
	case !core.IsLine(s):
		c.refuse(col, "the cell has nothing that is seen")
	}
	return s
}

// rich returns a cell of rich text, made safe: at most so many bytes before and
// after.
func (c *cells) rich(col, before, after int) string {
	clean, err := richtext.HTML(c.long(col, before), richtext.PlainHTML)
	if err != nil {
		c.refuse(col, "%s", err)
	}
	if len(clean) > after {
		c.refuse(col, "longer than %d bytes once it is made safe", after)
	}
	return clean
}

// long returns a cell of at most so many bytes.
func (c *cells) long(col, bytes int) string {
	s := c.raw(col)
	if len(s) > bytes {
		c.refuse(col, "longer than %d bytes", bytes)
	}
	return s
}

func (c *cells) slug(col int) string {
	s := c.raw(col)
	if !core.IsSlug(s) {
		c.refuse(col, "%s is no slug: 1 to 120 of a-z, 0-9 and -, with a letter or digit at both ends", quote(s))
	}
	return s
}

// reference returns a name that is looked up later.
func (c *cells) reference(col int) string {
	s := c.raw(col)
	switch {
	case s == "":
		c.refuse(col, "the cell is empty")
	case len(s) > maxKey:
		c.refuse(col, "%s is longer than any name", quote(s))
	}
	return s
}

// number returns a whole number from least to the greatest that stores keep.
func (c *cells) number(col, least int) int {
	s := c.raw(col)
	n, err := strconv.Atoi(s)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		c.refuse(col, "%s is no whole number", quote(s))
	case n < least:
		c.refuse(col, "%s is less than %d", quote(s), least)
	case n > math.MaxInt32:
		c.refuse(col, "%s is more than %d", quote(s), math.MaxInt32)
	}
	return n
}

// time returns a moment, and the zero Time for an empty cell.
func (c *cells) time(col int) time.Time {
	s := c.raw(col)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		c.refuse(col, "%s is no time of RFC 3339, such as 2024-02-29T08:15:00Z", quote(s))
	}
	if t = core.Time(t); err == nil && (t.Year() < 1000 || !core.ValidTime(t)) {
		c.refuse(col, "%s is not in the years 1000 to 9999", quote(s))
	}
	return t
}

// money returns an amount that is not negative.
func (c *cells) money(amount, currency int) core.Money {
	code := c.raw(currency)
	if !c.currency(code) {
		c.refuse(currency, "%s is no currency of ISO 4217", quote(code))
		return core.Money{}
	}
	text := c.raw(amount)
	m, err := core.ParseMoney(text, code)
	if err != nil {
		c.refuse(amount, "%s", err)
	} else if m.Minor < 0 || strings.HasPrefix(text, "-") {
		c.refuse(amount, "%s is negative", quote(text))
	}
	return m
}

func (c *cells) currency(code string) bool {
	if len(code) != 3 {
		return false
	}
	known, asked := c.known[code]
	if !asked {
		known = c.checker.Struct(struct {
			Code string `validate:"iso4217"`
		}{code}) == nil
		if known { // only these are bounded in number
			c.known[strings.Clone(code)] = true
		}
	}
	return known
}

// oneOf returns a cell that is one of the values.
func oneOf[S ~string](c *cells, col int, values ...S) S {
	s := S(c.raw(col))
	if !slices.Contains(values, s) {
		c.refuse(col, "%s is none of %v", quote(string(s)), values)
	}
	return s
}

// quote returns s for a message, cut to 64 bytes.
func quote(s string) string { return strconv.Quote(shorten(s)) }

func shorten(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
